// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Claim: what is held under one lease has a fence and an end each. One that is
// released or taken away leaves the others, and the lease; what functions run under
// it, the cluster learns of their end without being told by the holder.
func TestLease_HoldsEndOneByOne(t *testing.T) {
	c := newCrew(t)
	c.shared = true
	alice, bob := c.join("alice"), c.join("bob")
	under := alice.under(t, time.Second)
	claims := map[string]*client.Claim{}
	for _, name := range []string{"a", "b", "c"} {
		claims[name] = must[*client.Claim](t)(alice.Agent(name).Claim(t.Context(), under))
		must[hawser.Version](t)(claims[name].Save(t.Context(), []byte(name)))
	}
	lock := must[*client.Lock](t)(alice.Lock(t.Context(), "a", under))
	next := make(chan *client.Claim)
	go func() { next <- must[*client.Claim](t)(bob.Agent("a").Claim(t.Context(), bob.under(t, time.Second))) }()
	awaitOwner(t, bob, "a", func(h hawser.Holding) bool { return h.Waiting == 1 })
	if err := claims["a"].Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	must[hawser.Version](t)((<-next).Save(t.Context(), []byte("bob's")))
	if err := claims["a"].Release(t.Context()); err != nil { // again
		t.Error(err)
	}

	running := make(chan error)
	go func() {
		running <- claims["b"].Do(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
	}()
	go func() { next <- must[*client.Claim](t)(bob.Agent("b").Claim(t.Context(), bob.under(t, time.Second))) }()
	awaitOwner(t, bob, "b", func(h hawser.Holding) bool { return h.Waiting == 1 })
	if err := bob.Agent("b").Handover(t.Context(), "bob", "he asks"); err != nil {
		t.Fatal(err)
	}
	if err := <-running; !errors.Is(err, hawser.ErrOwnershipLost) {
		t.Errorf("Do under what was handed over: %v", err)
	}
	must[hawser.Version](t)((<-next).Save(t.Context(), []byte("bob's too")))

	must[hawser.Version](t)(claims["c"].Save(t.Context(), []byte("still mine")))
	if err := errors.Join(claims["c"].Err(), lock.Err(), alice.lease.Err()); err != nil {
		t.Error("lost with another one: ", err)
	}
	again := must[*client.Claim](t)(alice.Agent("d").Claim(t.Context(), under))
	if err := alice.lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{claims["c"].Err(), again.Err(), lock.Err(), alice.lease.Err()} {
		if !errors.Is(err, hawser.ErrOwnershipLost) {
			t.Errorf("after the release of the lease: %v", err)
		}
	}
	must[*client.Claim](t)(bob.Agent("c").Claim(t.Context(), client.NoWait()))
	if _, err := alice.Agent("c").Claim(t.Context(), under); !errors.Is(err, hawser.ErrOwnershipLost) {
		t.Errorf("a claim under a lease that was released: %v", err)
	}
}

// Claim: the second claim of an agent under one lease waits for the first, as under
// two leases, and does not share its fence; a wait that is given up leaves nothing
// behind.
func TestLease_OneHoldOfAResource(t *testing.T) {
	c := newCrew(t)
	c.shared = true
	alice, bob := c.join("alice"), c.join("bob")
	under := alice.under(t, time.Minute)
	first := must[*client.Claim](t)(alice.Agent("a").Claim(t.Context(), under))
	if _, err := alice.Agent("a").Claim(t.Context(), under, client.NoWait()); !errors.Is(err, hawser.ErrBusy) {
		t.Errorf("a second one that does not wait: %v", err)
	}
	second := make(chan *client.Claim)
	go func() { second <- must[*client.Claim](t)(alice.Agent("a").Claim(t.Context(), under)) }()
	select {
	case <-second:
		t.Fatal("two claims of one agent")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-second
	if got.Fence().Token <= first.Fence().Token {
		t.Errorf("fence %d after %d", got.Fence().Token, first.Fence().Token)
	}
	must[hawser.Version](t)(got.Save(t.Context(), []byte("x")))

	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	must[*client.Claim](t)(bob.Agent("b").Claim(t.Context()))
	go func() {
		_, err := alice.Agent("b").Claim(ctx, under)
		waited <- err
	}()
	awaitOwner(t, bob, "b", func(h hawser.Holding) bool { return h.Waiting == 1 })
	cancel()
	if err := <-waited; !errors.Is(err, hawser.ErrCanceled) {
		t.Errorf("a wait that was given up: %v", err)
	}
	awaitOwner(t, bob, "b", func(h hawser.Holding) bool { return h.Waiting == 0 })
	if _, err := alice.Agent("b").Claim(t.Context(), under, client.NoWait()); !errors.Is(err, hawser.ErrBusy) {
		t.Errorf("asked again: %v", err)
	}
	if _, err := bob.Agent("c").Claim(t.Context(), under); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("under the lease of another client: %v", err)
	}
}
