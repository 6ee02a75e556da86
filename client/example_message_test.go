// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// An agent takes what is in its inbox, and saves what follows from it together
// with what it sends on: all of it happens, or nothing.
func ExampleConsume() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	ctx := context.Background()
	c := exampleInstance(endpoint, "front-1")
	planner, writer := c.Agent("planner"), c.Agent("writer")
	for _, agent := range []*client.Agent{planner, writer} {
		if _, err := agent.Save(ctx, []byte("idle")); err != nil {
			panic(err)
		}
	}
	sender := c.Sender()
	for _, task := range []string{"a poem", "a letter"} {
		if _, err := sender.Send(ctx, "planner", []byte(task)); err != nil {
			panic(err)
		}
	}

	cp, err := planner.Restore(ctx) // the state, and what waits for it
	if err != nil {
		panic(err)
	}
	for _, m := range cp.Messages {
		_, err := planner.Save(ctx, []byte("planned "+string(m.Payload)),
			client.Consume(m.Number), client.Emit("writer", []byte("write "+string(m.Payload))))
		if err != nil {
			panic(err)
		}
	}

	for m, err := range writer.Inbox(ctx) { // waits for more
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d %q from %s, version %d\n", m.Number, m.Payload, m.Sender(), m.From.Number)
		if m.Number == 2 {
			break
		}
	}
	cp, err = planner.Restore(ctx)
	fmt.Printf("%s; %d messages wait, %v\n", cp.State, len(cp.Messages), err)
	// Output:
	// 1 "write a poem" from planner, version 2
	// 2 "write a letter" from planner, version 3
	// planned a letter; 0 messages wait, <nil>
}
