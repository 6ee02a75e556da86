// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Transfer moves money between agents by two-phase commit. One process, or
// several, owns the accounts and votes; another one begins transfers:
//
//	go run ./cmd/hawser dev --nodes 3              # in another terminal
//	go run ./examples/transfer serve alice bob     # kill -9 it, and run it again
//	go run ./examples/transfer move alice bob 30   # in a third
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	endpoints := strings.Split(cmp.Or(os.Getenv("HAWSER_ENDPOINTS"), client.DefaultEndpoint), ",")
	c, err := client.Dial(client.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	switch {
	case len(args) > 1 && args[0] == "serve":
		return serve(ctx, c, args[1:])
	case len(args) == 4 && args[0] == "move":
		amount, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return move(ctx, c, args[1], args[2], amount)
	}
	return errors.New("usage: transfer serve ACCOUNT... | transfer move FROM TO AMOUNT")
}

// serve owns accounts and takes part in their transfers until ctx ends.
func serve(ctx context.Context, c *client.Client, accounts []string) error {
	var group sync.WaitGroup
	errs := make([]error, len(accounts))
	for i, name := range accounts {
		group.Go(func() { errs[i] = serveOne(ctx, c.Agent(name)) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func serveOne(ctx context.Context, account *client.Agent) error {
	own, err := account.Claim(ctx) // waits for its turn if another process serves it
	if err != nil {
		return err
	}
	defer func() { _ = own.Release(context.WithoutCancel(ctx)) }() // else the next one waits for the time to live
	if own.Head() == nil {
		state, err := json.Marshal(100)
		if err != nil {
			return err
		}
		if _, err := own.Save(ctx, state); err != nil {
			return err
		}
	}
	log.Printf("%s is served", account.ID().Name)
	return own.Participate(ctx, client.Participant{
		// Nothing is changed here: what the state would become is staged with the
		// vote.
		Prepare: func(ctx context.Context, req client.TxnRequest) ([]byte, error) {
			balance, err := client.RestoreJSON[int](ctx, account)
			if err != nil {
				return nil, err // it is called again, until the deadline
			}
			change, err := strconv.Atoi(string(req.Payload))
			if err != nil {
				return nil, client.VoteNo("no number")
			}
			if balance += change; balance < 0 {
				return nil, client.VoteNo("no funds")
			}
			return json.Marshal(balance)
		},
		Commit: func(_ context.Context, id hawser.TxnID, version uint64) error {
			log.Printf("%s: transfer %s is committed, as version %d", account.ID().Name, id.ID, version)
			return nil
		},
		Rollback: func(_ context.Context, id hawser.TxnID) error {
			log.Printf("%s: transfer %s is rolled back", account.ID().Name, id.ID)
			return nil
		},
	})
}

// move begins a transfer and waits for what becomes of it.
func move(ctx context.Context, c *client.Client, from, to string, amount int) error {
	t, err := c.Transact(ctx, client.Txn{Participants: []client.TxnTask{
		{Agent: from, Payload: fmt.Append(nil, -amount)}, {Agent: to, Payload: fmt.Append(nil, amount)},
	}})
	if err != nil {
		return err
	}
	for _, name := range []string{from, to} {
		balance, err := client.RestoreJSON[int](ctx, c.Agent(name))
		if err != nil {
			return err
		}
		fmt.Printf("%s has %d\n", name, balance)
	}
	fmt.Printf("transfer %s is %s\n", t.ID.ID, t.State)
	return nil
}
