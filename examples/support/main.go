// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Support is a customer-service agent that runs twice, active and passive: one
// process answers, the other one keeps up and goes on when the first one dies.
//
//	go run ./cmd/hawser dev --nodes 3               # in another terminal
//	go run ./examples/support serve one             # in a second; kill -9 it
//	go run ./examples/support serve two             # in a third
//	go run ./examples/support ask alice "Where is my parcel?"
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
)

const (
	desk = "support/desk"
	// customers are below this name; each has an inbox, for answers.
	customers = "support/customer/"
	// ttl is for how long nobody answers when the active one dies without a word.
	ttl = time.Second
	// remembered is how many exchanges of a conversation the model is told.
	remembered = 5
	// forgetEvery is after how many answers those of the model leave the journal.
	forgetEvery = 1000
)

// exchange is a question of a customer and what was answered. Its number is its
// place in the customer's conversation, from 1.
type exchange struct {
	Customer string `json:"customer"`
	Number   int    `json:"number,omitempty"`
	Question string `json:"question"`
	Answer   string `json:"answer,omitempty"`
	// By is the process that answered.
	By string `json:"by,omitempty"`
}

func (e exchange) encode() []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // a number and texts can be encoded
	}
	return data
}

// conversations is the state of the desk: by customer, the newest exchanges.
type conversations struct {
	By       map[string][]exchange `json:"by"`
	Answered int                   `json:"answered"`
}

// answer answers the next question. The question is taken, the conversation goes on
// and the answer is sent by one save: a process that dies before it has done
// nothing, and one that dies after it has done all.
func answer(c *client.Client) agent.Step[conversations] {
	return func(ctx context.Context, t *agent.Turn[conversations]) error {
		m, err := t.Message(ctx)
		if err != nil {
			return err
		}
		e, err := read(c, m)
		if err != nil {
			fmt.Fprintf(os.Stderr, "support: message %d is no question: %v\n", m.Number, err)
			return nil // the save takes it out of the inbox
		}
		said := t.State.By[e.Customer]
		if len(said) == 0 { // an answer needs an inbox
			if err := enter(ctx, c, customers+e.Customer); err != nil {
				return err
			}
		}
		e.Number, e.By = 1, c.Instance()
		if len(said) > 0 {
			e.Number = said[len(said)-1].Number + 1
		}
		// Asking a model costs: what it said is kept, and not asked for again by the
		// process that does the step after this one has died in the middle of it.
		text, err := t.Effect(ctx, fmt.Sprint("message-", m.Number), hawser.OnUnknownRetry, func(ctx context.Context, _ string) ([]byte, error) {
			return model(ctx, said, e)
		})
		if err != nil {
			return err
		}
		e.Answer = string(text)
		said = append(said, e)
		if t.State.By == nil {
			t.State.By = map[string][]exchange{}
		}
		t.State.By[e.Customer] = said[max(0, len(said)-remembered):]
		t.Send(customers+e.Customer, e.encode())
		if t.State.Answered++; t.State.Answered%forgetEvery == 0 {
			_, err = t.Claim().ForgetEffects(ctx, t.Version())
		}
		return err
	}
}

// read reads a question, which anybody may have sent.
func read(c *client.Client, m hawser.Message) (e exchange, err error) {
	if err = json.Unmarshal(m.Payload, &e); err == nil {
		_, err = hawser.NewAgentID(c.Namespace(), customers+e.Customer)
	}
	return e, err
}

// model stands in for one: after a while it says what follows from the question and
// from what was said before.
func model(ctx context.Context, said []exchange, e exchange) ([]byte, error) {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if len(said) == 0 {
		return fmt.Appendf(nil, "Welcome, %s. About %q: we look into it.", e.Customer, e.Question), nil
	}
	return fmt.Appendf(nil, "About %q: it is as with %q, which you asked before.", e.Question, said[len(said)-1].Question), nil
}

// serve answers questions, or waits for its turn to, until ctx ends.
func serve(ctx context.Context, c *client.Client) error {
	return agent.Run(ctx, c, agent.Config[conversations]{Name: desk, TTL: ttl}, answer(c))
}

// enter makes an agent whose inbox is to get messages, if it is not there.
func enter(ctx context.Context, c *client.Client, name string) error {
	_, err := c.Agent(name).Save(ctx, []byte("{}"), client.ExpectVersion(0))
	if errors.Is(err, hawser.ErrConflict) || errors.Is(err, hawser.ErrFenced) {
		return nil // it is
	}
	return err
}

// ask asks a question and waits for the answer. A customer asks one at a time.
func ask(ctx context.Context, c *client.Client, customer, question string) (e exchange, err error) {
	me := c.Agent(customers + customer)
	for _, name := range []string{desk, customers + customer} {
		if err := enter(ctx, c, name); err != nil {
			return e, err
		}
	}
	if _, err := c.Send(ctx, desk, exchange{Customer: customer, Question: question}.encode()); err != nil {
		return e, err
	}
	for m, err := range me.Inbox(ctx) {
		if err != nil {
			return e, err
		}
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			return e, err
		}
		// Read, and out of the inbox.
		if _, err := me.Save(ctx, m.Payload, client.Overwrite(), client.Consume(m.Number)); err != nil {
			return e, err
		}
		if e.Question == question {
			break // else it is of a question whose asker did not wait
		}
	}
	return e, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "support:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	serves, asks := len(args) == 2 && args[0] == "serve", len(args) == 3 && args[0] == "ask"
	if !serves && !asks {
		return errors.New("usage: support serve NAME | support ask CUSTOMER QUESTION")
	}
	cfg := client.Config{Endpoints: strings.Split(cmp.Or(os.Getenv("HAWSER_ENDPOINTS"), client.DefaultEndpoint), ",")}
	if serves {
		cfg.Instance = args[1] // the name for "hawser agent handover"
	}
	c, err := client.Dial(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if serves {
		return serve(ctx, c)
	}
	e, err := ask(ctx, c, args[1], args[2])
	if err == nil {
		fmt.Printf("%d. %s (answered by %s)\n", e.Number, e.Answer, e.By)
	}
	return err
}
