// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// Claim: members that claim any free agents get each agent once, about as many as
// they ask for, with its head and a fence that is good; what is held, waited for or
// has no version is left alone, and what is released another one gets.
func TestLease_ClaimAny(t *testing.T) {
	c := newCrew(t)
	c.shared = true
	alice, bob := c.join("alice"), c.join("bob")
	const agents = 300
	for i := range agents {
		must[hawser.Version](t)(alice.Agent(fmt.Sprint("crew/", i)).Save(t.Context(), []byte("x"), client.Label("k", "v")))
	}
	must[hawser.Version](t)(alice.Agent("crewman").Save(t.Context(), []byte("x")))
	outside := must[*client.Claim](t)(bob.Agent("crew/7").Claim(t.Context()))
	must[*client.Claim](t)(bob.Agent("crew/none").Claim(t.Context()))
	for _, m := range []*member{alice, bob} {
		m.under(t, time.Minute)
	}
	owned, twice := claimAll(t, alice, bob)
	if len(owned) != agents-1 || len(twice) != 0 {
		t.Fatalf("%d agents were claimed, twice %v", len(owned), twice)
	}
	own := owned["crew/1"]
	if own.Head() == nil || own.Head().Number != 1 || own.Agent().Head() != 1 {
		t.Errorf("claimed at %+v", own.Head())
	}
	must[hawser.Version](t)(own.Save(t.Context(), []byte("y")))
	if err := errors.Join(own.Release(t.Context()), outside.Release(t.Context())); err != nil {
		t.Fatal(err)
	}
	claims, n, err := bob.lease.ClaimAny(t.Context(), "crew", 9)
	if err != nil || len(claims) != 2 || n != agents {
		t.Errorf("%d of %d claimed of what was released: %v", len(claims), n, err)
	}
	if claims, n, err = bob.lease.ClaimAny(t.Context(), "", 0); err != nil || len(claims) != 0 || n != agents+1 {
		t.Errorf("only counted: %d claims, %d agents, %v", len(claims), n, err)
	}
	if _, _, err := bob.lease.ClaimAny(t.Context(), "crew", -1); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("a negative number: %v", err)
	}
	if err := bob.lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bob.lease.ClaimAny(t.Context(), "crew", 1); !errors.Is(err, hawser.ErrOwnershipLost) {
		t.Errorf("under a lease that was released: %v", err)
	}
}

// claimAll has members claim below "crew" at the same time until nothing is free.
func claimAll(t *testing.T, members ...*member) (owned map[string]*client.Claim, twice []string) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	owned = map[string]*client.Claim{}
	for _, m := range members {
		wg.Go(func() {
			for {
				claims, _, err := m.lease.ClaimAny(t.Context(), "crew", 50)
				if err != nil {
					t.Error(err)
				}
				if len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, own := range claims {
					name := own.Agent().ID().Name
					if owned[name] != nil {
						twice = append(twice, name)
					}
					owned[name] = own
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return owned, twice
}

// Claim: what a call has claimed whose answer was lost is returned by the next one.
func TestLease_ClaimAnyAfterALostAnswer(t *testing.T) {
	c := newCrew(t)
	alice := c.join("alice")
	for i := range 5 {
		must[hawser.Version](t)(alice.Agent(fmt.Sprint("crew/", i)).Save(t.Context(), []byte("x")))
	}
	lost := &deaf{}
	m := must[*client.Client](t)(client.Dial(client.Config{
		Endpoints: []string{c.cluster.Endpoint(0)}, Instance: "bob", RequestTimeout: time.Second,
		DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(lost.intercept)},
	}))
	defer m.Close()
	lease := must[*client.Lease](t)(m.OpenLease(t.Context(), time.Minute))
	first, _, err := lease.ClaimAny(t.Context(), "crew", 1)
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	lost.set(true)
	if _, _, err := lease.ClaimAny(t.Context(), "crew", 2); !errors.Is(err, hawser.ErrOutcomeUnknown) {
		t.Fatalf("without an answer: %v", err)
	}
	lost.set(false)
	claims, _, err := lease.ClaimAny(t.Context(), "crew", 1)
	if err != nil || len(claims) != 2 {
		t.Fatalf("%d claims: %v", len(claims), err) // it asks for one, and two of the call before are there
	}
	for _, own := range claims {
		if own.Fence() == first[0].Fence() {
			t.Error("one that it had")
		}
		must[hawser.Version](t)(own.Save(t.Context(), []byte("y")))
	}
}

// deaf drops the answers of calls of ClaimAny that were executed.
type deaf struct {
	mu sync.Mutex
	is bool
}

func (d *deaf) set(is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is = is
}

func (d *deaf) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.is && strings.HasSuffix(method, "/ClaimAny") {
		return status.Error(codes.Unavailable, "the answer is lost")
	}
	return err
}
