// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// A payment that is made once, though the agent is taken back to before it.
func ExampleAgent_Effect() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "worker-a")
	defer c.Close()
	ctx := context.Background()

	payments := 0
	pay := func(context.Context, string) ([]byte, error) { // the string is the idempotency key
		payments++
		return []byte("receipt 1"), nil
	}
	buyer := c.Agent("buyer")
	_, _ = buyer.Save(ctx, []byte("cart is full"))
	receipt, err := buyer.Effect(ctx, "pay order-1", hawser.OnUnknownAsk, pay)
	fmt.Printf("%s %v\n", receipt, err)
	_, _ = buyer.Save(ctx, []byte("paid"))

	_, _ = buyer.Rollback(ctx, 1)
	cp, _ := buyer.Restore(ctx)
	fmt.Printf("back at %q; %q is %s: %s\n", cp.State, cp.Effects[0].ID, cp.Effects[0].State, cp.Effects[0].Result)
	receipt, err = buyer.Effect(ctx, "pay order-1", hawser.OnUnknownAsk, pay)
	fmt.Printf("%s %v, after %d payment\n", receipt, err, payments)
	// Output:
	// receipt 1 <nil>
	// back at "cart is full"; "pay order-1" is done: receipt 1
	// receipt 1 <nil>, after 1 payment
}

// The result and the state that holds it, in one entry; and a process that ended
// between the call and the save.
func ExampleEffectDone() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "worker-a")
	defer c.Close()
	ctx := context.Background()

	mailer := c.Agent("mailer")
	_, _ = mailer.Save(ctx, []byte("letter is written"))
	e, run, _ := mailer.BeginEffect(ctx, "send letter-1", hawser.OnUnknownAsk)
	fmt.Println("may send it:", run, e.State)
	v, err := mailer.Save(ctx, []byte("letter is sent"), client.EffectDone("send letter-1", []byte("250 OK")))
	fmt.Println("version", v.Number, err)

	_, _, _ = mailer.BeginEffect(ctx, "send letter-2", hawser.OnUnknownAsk) // and then the process dies
	_, err = mailer.Effect(ctx, "send letter-2", hawser.OnUnknownAsk, func(context.Context, string) ([]byte, error) {
		panic("is not called")
	})
	var unknown *hawser.UnknownEffectError
	fmt.Println("nobody knows:", errors.As(err, &unknown), unknown.Effect.ID)
	// Output:
	// may send it: true open
	// version 2 <nil>
	// nobody knows: true send letter-2
}
