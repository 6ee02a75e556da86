// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/examples/internal/fleet"
)

const (
	people    = 5
	questions = 40 // of each
)

// desks are the processes that serve, by name, and what the customers have got.
type desks struct {
	*fleet.Fleet

	t       *testing.T
	c       *client.Client
	program string
	serving map[string]*fleet.Process
	// answered gets when and by whom each question was answered.
	answered chan arrival
}

type arrival struct {
	at time.Time
	by string
}

// Claim: five customers ask forty questions each, while the process that answers is
// killed twice and hands over once as planned; each question is answered once, in
// order, and from the conversation before it.
func TestSupport_GoesOnAfterKills(t *testing.T) {
	f := fleet.Start(t, 3)
	d := &desks{
		Fleet: f, t: t, c: f.Client(), program: fleet.Build(t, "."), serving: map[string]*fleet.Process{},
		answered: make(chan arrival, people*questions),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := enter(ctx, d.c, desk); err != nil {
		t.Fatal(err)
	}
	d.serve("one")
	d.ask(ctx)
	d.serve("two")
	var all sync.WaitGroup
	for i := range people {
		name := fmt.Sprint("customer-", i)
		if err := enter(ctx, d.c, customers+name); err != nil {
			t.Fatal(err)
		}
		all.Go(func() { d.send(ctx, name) })
		all.Go(func() { d.receive(ctx, name) })
	}
	defer all.Wait()
	d.some(ctx, 30)
	active, passive := d.owner(ctx)
	d.serving[active].Kill()
	d.gap(ctx, "killed", passive)
	d.serve(active)
	d.some(ctx, 30)
	active, passive = d.owner(ctx)
	d.serving[active].Kill()
	d.gap(ctx, "killed again", passive)
	d.serve(active)
	d.some(ctx, 30)
	_, passive = d.owner(ctx)
	if err := d.c.Agent(desk).Handover(ctx, passive, "a new build"); err != nil {
		t.Fatal(err)
	}
	d.gap(ctx, "handed over", passive)
	all.Wait()
	for i := range people {
		for m, err := range d.c.Agent(customers + fmt.Sprint("customer-", i)).Messages(ctx) {
			if err != nil || m.Number > questions {
				t.Errorf("customer %d got one more answer: %s, %v", i, m.Payload, err)
			}
		}
	}
	for m, err := range d.c.Agent(desk).Messages(ctx) {
		t.Errorf("the question %s is still there: %v", m.Payload, err)
	}
}

func (d *desks) serve(name string) {
	d.serving[name] = d.Run(nil, d.program, "serve", name)
}

// owner waits until one process serves and the other waits.
func (d *desks) owner(ctx context.Context) (active, passive string) {
	for h, err := range d.c.Agent(desk).Observe(ctx) {
		if err != nil {
			d.t.Fatal(err)
		}
		if len(h.Holders) == 1 && len(h.Waiters) == 1 {
			return h.Holders[0].Instance, h.Waiters[0].Instance
		}
	}
	d.t.Fatal("nobody serves, or nobody waits: ", context.Cause(ctx))
	return "", ""
}

// await waits for an answer.
func (d *desks) await(ctx context.Context) arrival {
	select {
	case a := <-d.answered:
		return a
	case <-ctx.Done():
		d.t.Fatalf("no answers: %v\n%s", context.Cause(ctx), d.output())
	}
	return arrival{}
}

// some waits for so many answers.
func (d *desks) some(ctx context.Context, n int) {
	for range n {
		d.await(ctx)
	}
}

// gap waits until the successor answers, and tells for how long nobody has.
func (d *desks) gap(ctx context.Context, how, successor string) {
	last := time.Now()
	for {
		a := d.await(ctx)
		if a.by == successor {
			d.t.Logf("%s: nobody answered for %v", how, a.at.Sub(last).Round(time.Millisecond))
			return
		}
		last = a.at
	}
}

func (d *desks) output() string {
	var b strings.Builder
	for name, p := range d.serving {
		fmt.Fprintf(&b, "%s:\n%s", name, p.Output())
	}
	return b.String()
}

func question(n int) string { return fmt.Sprintf("question %d", n) }

// send sends the questions of a customer, one after the other, and waits for no
// answer.
func (d *desks) send(ctx context.Context, customer string) {
	sender := d.c.Sender()
	for n := 1; n <= questions; n++ {
		if _, err := sender.Send(ctx, desk, exchange{Customer: customer, Question: question(n)}.encode()); err != nil {
			d.t.Errorf("%s: %v", customer, err)
			return
		}
		time.Sleep(100 * time.Millisecond) // as people do
	}
}

// receive compares the answers that a customer gets with those of an undisturbed
// conversation.
func (d *desks) receive(ctx context.Context, customer string) {
	var said []exchange
	for m, err := range d.c.Agent(customers + customer).Inbox(ctx) {
		if err != nil {
			d.t.Errorf("%s: %v", customer, err)
			return
		}
		want := exchange{Customer: customer, Number: len(said) + 1, Question: question(len(said) + 1)}
		text, err := model(ctx, said, want)
		if err != nil {
			d.t.Error(err)
			return
		}
		var got exchange
		if err := json.Unmarshal(m.Payload, &got); err != nil {
			d.t.Error(err)
			return
		}
		d.answered <- arrival{time.Now(), got.By}
		want.Answer, want.By = string(text), got.By
		if got != want || m.Number != uint64(want.Number) {
			d.t.Errorf("message %d of %s is %+v, want %+v", m.Number, customer, got, want)
		}
		if said = append(said, want); len(said) == questions {
			return
		}
	}
}

// ask asks as a person does, on the command line. What is no question does not keep
// the desk from answering.
func (d *desks) ask(ctx context.Context) {
	for _, payload := range []string{"", `{"customer":"","question":"?"}`, `{"customer":"not there","question":"?"}`} {
		if _, err := d.c.Send(ctx, desk, []byte(payload)); err != nil {
			d.t.Fatal(err)
		}
	}
	for i, want := range []string{
		"1. Welcome, alice. About \"Where is it?\": we look into it. (answered by one)\n",
		"2. About \"And now?\": it is as with \"Where is it?\", which you asked before. (answered by one)\n",
	} {
		p := d.Run(nil, d.program, "ask", "alice", []string{"Where is it?", "And now?"}[i])
		select {
		case <-p.Done:
		case <-ctx.Done():
		}
		if got := p.Output(); got != want {
			d.t.Errorf("the answer is %q, want %q", got, want)
		}
	}
}
