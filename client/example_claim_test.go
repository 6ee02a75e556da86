// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

func exampleInstance(endpoint, instance string) *client.Client {
	c, err := client.Dial(client.Config{Endpoints: []string{endpoint}, Instance: instance})
	if err != nil {
		panic(err)
	}
	return c
}

// Two instances of one agent: the second waits until the first has released it,
// and goes on from what that has saved.
func ExampleAgent_Claim() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	a, b := exampleInstance(endpoint, "worker-a"), exampleInstance(endpoint, "worker-b")
	defer a.Close()
	defer b.Close()
	ctx := context.Background()

	own, err := a.Agent("planner").Claim(ctx, client.TTL(2*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = own.Do(ctx, func(ctx context.Context) error { // ends with the claim
		_, err := own.Save(ctx, []byte("step 1"))
		return err
	})
	fmt.Println("saved:", err)

	_, err = b.Agent("planner").Save(ctx, []byte("mine"), client.Overwrite())
	fmt.Println("somebody else's save is fenced:", errors.Is(err, hawser.ErrFenced))

	_ = own.Release(ctx)
	next, err := b.Agent("planner").Claim(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	cp, _ := next.Restore(ctx)
	fmt.Printf("the next one goes on from %q\n", cp.State)
	_ = next.Release(ctx)
	// Output:
	// saved: <nil>
	// somebody else's save is fenced: true
	// the next one goes on from "step 1"
}

// A lock with a fence, which the system that is written to checks.
func ExampleClient_Lock() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "worker-a")
	defer c.Close()
	ctx := context.Background()

	var guard hawser.Guard // at the resource
	lock, err := c.Lock(ctx, "nightly-report")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = lock.Do(ctx, func(context.Context) error { return guard.Check(lock.Fence()) })
	fmt.Println("first:", err)
	old := lock.Fence()
	_ = lock.Release(ctx)

	lock, _ = c.Lock(ctx, "nightly-report")
	fmt.Println("second:", guard.Check(lock.Fence()))
	fmt.Println("an old fence is refused:", errors.Is(guard.Check(old), hawser.ErrFenced))
	_ = lock.Release(ctx)
	// Output:
	// first: <nil>
	// second: <nil>
	// an old fence is refused: true
}

// A watch goes on where an earlier one has ended.
func ExampleClient_Watch() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "worker-a")
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	var cursor hawser.Cursor
	for batch, err := range c.Watch(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		cursor = batch.Cursor // it is there: what happens from now on is told
		break
	}
	planner := c.Agent("planner")
	_, _ = planner.Save(ctx, []byte("step 1"))
	_, _ = planner.Save(ctx, []byte("step 2"))
	told := 0
	for batch, err := range c.Watch(ctx, client.After(cursor)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range batch.Events {
			fmt.Println(e.Kind, e.Name, e.Number)
			told++
		}
		if told == 2 {
			break
		}
	}
	// Output:
	// VERSION_SAVED default/planner 1
	// VERSION_SAVED default/planner 2
}

// A passive instance keeps up with the active one, and takes over warm.
func ExampleAgent_Follow() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	active, passive := exampleInstance(endpoint, "active"), exampleInstance(endpoint, "passive")
	defer active.Close()
	defer passive.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	planner := active.Agent("planner")
	_, _ = planner.Save(ctx, []byte("step 1"))
	for cp, err := range passive.Agent("planner").Follow(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", cp.State)
		if cp.Version.Number == 2 {
			break
		}
		_, _ = planner.Save(ctx, []byte("step 2"))
	}
	// Output:
	// step 1
	// step 2
}
