// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// crew is a cluster with instances that dial it through lines that can be cut.
type crew struct {
	t       *testing.T
	cluster *hawsertest.Cluster
	// shared: its members hold all under one lease each.
	shared bool
}

type member struct {
	*client.Client

	line   *line
	shared bool
	lease  *client.Lease
}

// under is how a member holds something: under a lease of its own or the
// member's, which is opened with the first TTL.
func (m *member) under(t *testing.T, ttl time.Duration) client.HoldOption {
	t.Helper()
	if !m.shared {
		return client.TTL(ttl)
	}
	if m.lease == nil {
		m.lease = must[*client.Lease](t)(m.OpenLease(t.Context(), ttl))
	}
	return client.Under(m.lease)
}

// bothForms runs a test with a lease for each hold, and with one for a member.
func bothForms(t *testing.T, test func(t *testing.T, c crew)) {
	t.Helper()
	for name, shared := range map[string]bool{"a lease each": false, "one lease": true} {
		t.Run(name, func(t *testing.T) {
			c := newCrew(t)
			c.shared = shared
			test(t, c)
		})
	}
}

func (c crew) join(instance string) *member {
	c.t.Helper()
	m := &member{line: newLine(c.t, c.cluster.Endpoint(0)), shared: c.shared}
	dialled, err := client.Dial(client.Config{Endpoints: []string{m.line.address}, Instance: instance})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = dialled.Close() })
	m.Client = dialled
	return m
}

// line forwards TCP connections until it is cut.
type line struct {
	address string

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &line{address: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close(); ln.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil || !ln.add(in, out) {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	return ln
}

func (l *line) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conns...)
	return !l.dead
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for _, c := range l.conns {
		_ = c.Close()
	}
}

func newCrew(t *testing.T) crew {
	t.Helper()
	t.Parallel()
	return crew{t: t, cluster: hawsertest.StartCluster(t, 1)}
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// An agent has one owner: its saves go through, those without the fence do not;
// when it releases, who waits gets the agent with the head, and what the old
// owner still tries is refused without being sent.
func TestClaim_OneOwnerAfterTheOther(t *testing.T) { bothForms(t, claimOneOwnerAfterTheOther) }

func claimOneOwnerAfterTheOther(t *testing.T, c crew) {
	t.Helper()
	alice, bob := c.join("alice"), c.join("bob")
	own := must[*client.Claim](t)(alice.Agent("planner").Claim(t.Context(), alice.under(t, hawser.DefaultTTL)))
	v := must[hawser.Version](t)(own.Save(t.Context(), []byte("one")))
	if _, number := hawser.SplitToken(own.Fence().Token); v.Epoch != number {
		t.Errorf("saved under epoch %d with fence %d", v.Epoch, number)
	}
	_, err := bob.Agent("planner").Save(t.Context(), []byte("x"), client.Overwrite())
	fenced, ok := errors.AsType[*hawser.FencedError](err)
	if !ok || fenced.Owner != "alice" {
		t.Fatalf("a save without a fence: %v", err)
	}
	if _, err := bob.Agent("planner").Claim(t.Context(), client.NoWait(), bob.under(t, hawser.DefaultTTL)); !errors.Is(err, hawser.ErrBusy) {
		t.Fatalf("a claim that does not wait: %v", err)
	}
	granted := make(chan *client.Claim)
	go func() {
		granted <- must[*client.Claim](t)(bob.Agent("planner").Claim(t.Context(), bob.under(t, hawser.DefaultTTL)))
	}()
	awaitOwner(t, alice, "planner", func(h hawser.Holding) bool { return h.Waiting == 1 })
	if err := own.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := <-granted
	if next.Head() == nil || next.Head().Number != 1 {
		t.Errorf("granted at %+v", next.Head())
	}
	if _, err := own.Save(t.Context(), []byte("late")); !errors.Is(err, hawser.ErrOwnershipLost) || !errors.Is(own.Err(), hawser.ErrOwnershipLost) {
		t.Errorf("a save after the release: %v, %v", err, own.Err())
	}
	if _, err := alice.Agent("planner").Save(t.Context(), []byte("late"), client.Overwrite(), client.WithFence(own.Fence().Token)); !errors.Is(err, hawser.ErrFenced) {
		t.Errorf("a save with the old fence: %v", err)
	}
	must[hawser.Version](t)(next.Save(t.Context(), []byte("two"))) // follows the head of the grant
}

func awaitOwner(t *testing.T, m *member, agent string, is func(hawser.Holding) bool) {
	t.Helper()
	for h, err := range m.Agent(agent).Observe(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if is(h) {
			return
		}
	}
}

// An owner that is cut off loses the claim before the cluster gives it to the
// next: the context of Do ends first, with the cause.
func TestClaim_OwnerIsCutOff(t *testing.T) { bothForms(t, claimOwnerIsCutOff) }

func claimOwnerIsCutOff(t *testing.T, c crew) {
	t.Helper()
	alice, bob := c.join("alice"), c.join("bob")
	own := must[*client.Claim](t)(alice.Agent("a").Claim(t.Context(), alice.under(t, time.Second)))
	var ended time.Time
	done := make(chan error)
	go func() {
		done <- own.Do(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			ended = time.Now()
			return context.Cause(ctx)
		})
	}()
	time.Sleep(1500 * time.Millisecond) // it is renewed meanwhile
	if err := own.Err(); err != nil {
		t.Fatal(err)
	}
	granted := make(chan time.Time)
	go func() {
		next := must[*client.Claim](t)(bob.Agent("a").Claim(t.Context(), bob.under(t, hawser.DefaultTTL)))
		must[hawser.Version](t)(next.Save(t.Context(), []byte("saved")))
		granted <- time.Now()
	}()
	awaitOwner(t, bob, "a", func(h hawser.Holding) bool { return h.Waiting == 1 })
	cut := time.Now()
	alice.line.cut()
	if err := <-done; !errors.Is(err, hawser.ErrOwnershipLost) {
		t.Errorf("Do ended with %v", err)
	}
	saved := <-granted
	if !ended.Before(saved) || saved.Sub(cut) > 1500*time.Millisecond {
		t.Errorf("cut off, Do ended after %s, the successor has saved after %s", ended.Sub(cut), saved.Sub(cut))
	}
	if err := own.Do(t.Context(), func(context.Context) error { t.Error("started"); return nil }); !errors.Is(err, hawser.ErrOwnershipLost) {
		t.Error(err)
	}
}

// A handover by name ends the owner's claim at once; the one named gets the
// agent when the owner's function has returned, though another one waits longer.
func TestClaim_Handover(t *testing.T) { bothForms(t, claimHandover) }

func claimHandover(t *testing.T, c crew) {
	t.Helper()
	alice, bob, carol := c.join("alice"), c.join("bob"), c.join("carol")
	own := must[*client.Claim](t)(alice.Agent("a").Claim(t.Context(), alice.under(t, time.Minute)))
	returned, granted := make(chan struct{}), make(chan string, 2)
	go func() {
		_ = own.Do(t.Context(), func(ctx context.Context) error { <-ctx.Done(); <-returned; return nil })
	}()
	for i, m := range []*member{bob, carol} {
		go func() {
			if _, err := m.Agent("a").Claim(t.Context(), m.under(t, hawser.DefaultTTL)); err == nil {
				granted <- m.Instance()
			}
		}()
		awaitOwner(t, alice, "a", func(h hawser.Holding) bool { return h.Waiting == i+1 })
	}
	if err := bob.Agent("a").Handover(t.Context(), "dave", ""); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("a handover to nobody: %v", err)
	}
	if err := bob.Agent("a").Handover(t.Context(), "carol", "she is warm"); err != nil {
		t.Fatal(err)
	}
	awaitOwner(t, bob, "a", func(h hawser.Holding) bool { return len(h.Holders) == 1 && h.Holders[0].Ending })
	select {
	case who := <-granted:
		t.Fatalf("%s has it before the owner has stopped", who)
	case <-own.Done(): // told by the next renewal, or not at all yet
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := alice.Agent("a").Save(t.Context(), []byte("x"), client.WithFence(own.Fence().Token)); !errors.Is(err, hawser.ErrFenced) {
		t.Errorf("the old fence: %v", err)
	}
	close(returned)
	if err := own.Release(t.Context()); err != nil { // it is renewed every 10 s only: do not wait to be told
		t.Error(err)
	}
	if who := <-granted; who != "carol" {
		t.Errorf("%s has it", who)
	}
}

// Unclaim opens the agent to everybody, force goes through a claim.
func TestClaim_UnclaimAndForce(t *testing.T) { bothForms(t, claimUnclaimAndForce) }

func claimUnclaimAndForce(t *testing.T, c crew) {
	t.Helper()
	alice, bob := c.join("alice"), c.join("bob")
	own := must[*client.Claim](t)(alice.Agent("a").Claim(t.Context(), alice.under(t, hawser.DefaultTTL)))
	must[hawser.Version](t)(own.Save(t.Context(), []byte("one")))
	must[hawser.Version](t)(bob.Agent("a").Save(t.Context(), []byte("two"), client.Overwrite(), client.Force()))
	select {
	case <-own.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the owner was not told")
	}
	if err := bob.Agent("a").Unclaim(t.Context(), "mended"); err != nil {
		t.Fatal(err)
	}
	must[hawser.Version](t)(bob.Agent("a").Save(t.Context(), []byte("three"), client.Overwrite()))
}

// A semaphore has as many holders as its capacity, each with a fence of its own;
// a bad time to live is refused.
func TestLock_Semaphore(t *testing.T) {
	c := newCrew(t)
	alice, bob, carol := c.join("alice"), c.join("bob"), c.join("carol")
	one := must[*client.Lock](t)(alice.Lock(t.Context(), "gpu", client.Capacity(2)))
	two := must[*client.Lock](t)(bob.Lock(t.Context(), "gpu", client.Capacity(2)))
	if one.Fence().Token >= two.Fence().Token {
		t.Errorf("fences %d, then %d", one.Fence().Token, two.Fence().Token)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := carol.Lock(ctx, "gpu", client.Capacity(2)); !errors.Is(err, hawser.ErrDeadline) {
		t.Errorf("a third holder: %v", err)
	}
	var held []hawser.Holding
	for h, err := range carol.Holdings(t.Context(), hawser.ResourceLock, "") {
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, h)
	}
	if len(held) != 1 || len(held[0].Holders) != 2 || held[0].Capacity != 2 {
		t.Errorf("holdings %+v", held)
	}
	if _, err := carol.Lock(t.Context(), "gpu"); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("another capacity: %v", err)
	}
	for _, ttl := range []time.Duration{0, -1, hawser.MinTTL - 1, hawser.MaxTTL + 1} {
		if _, err := carol.Lock(t.Context(), "x", client.TTL(ttl)); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("a time to live of %s: %v", ttl, err)
		}
	}
}

// A claim outlives the leader of the cluster, and so does the wait for one.
func TestClaim_OutlivesTheLeader(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	dial := func(instance string) *client.Client {
		m, err := client.Dial(client.Config{Endpoints: []string{cluster.Endpoint(0), cluster.Endpoint(1), cluster.Endpoint(2)}, Instance: instance})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	alice, bob := dial("alice"), dial("bob")
	own := must[*client.Claim](t)(alice.Agent("a").Claim(t.Context(), client.TTL(2*time.Second)))
	granted := make(chan error)
	go func() {
		_, err := bob.Agent("a").Claim(t.Context())
		granted <- err
	}()
	cluster.KillLeader()
	for i := range 3 {
		must[hawser.Version](t)(own.Save(t.Context(), fmt.Append(nil, i)))
		time.Sleep(time.Second)
	}
	if err := own.Err(); err != nil {
		t.Fatal(err)
	}
	if err := own.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-granted; err != nil {
		t.Error(err)
	}
}

// A watch tells of every save once and in order, goes on from a cursor, and
// refuses one of the future.
func TestWatch_FromACursor(t *testing.T) {
	c := newCrew(t)
	alice := c.join("alice")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const saves = 50
	var numbers []uint64
	var middle hawser.Cursor
	begun := false
	var saving sync.WaitGroup
	for b, err := range alice.Watch(ctx, client.Name("a"), client.Kinds(hawser.EventVersionSaved)) {
		if err != nil {
			t.Fatal(err)
		}
		if !begun { // the watch is there: what is saved from now on is told
			begun = true
			saving.Go(func() {
				a, other := alice.Agent("a"), alice.Agent("b")
				for i := range saves {
					must[hawser.Version](t)(a.Save(ctx, fmt.Append(nil, i)))
					must[hawser.Version](t)(other.Save(ctx, fmt.Append(nil, i)))
				}
			})
		}
		for _, e := range b.Events {
			numbers = append(numbers, e.Number)
		}
		if len(numbers) >= saves/2 && middle.IsZero() {
			middle = b.Cursor
		}
		if len(numbers) >= saves {
			break
		}
	}
	saving.Wait()
	want := make([]uint64, saves)
	for i := range want {
		want[i] = uint64(i) + 1
	}
	if !slices.Equal(numbers, want) {
		t.Fatalf("told of %v", numbers)
	}
	for b, err := range alice.Watch(ctx, client.Name("a"), client.After(middle)) {
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Events) > 0 {
			if first := b.Events[0].Number; first <= saves/2 || first > saves {
				t.Errorf("goes on at %d", first)
			}
			break
		}
	}
	for _, bad := range []struct {
		after hawser.Cursor
		want  error
	}{
		{hawser.Cursor{Generation: middle.Generation, Revision: 1 << 50}, hawser.ErrInvalid},
		{hawser.Cursor{Generation: middle.Generation + 1, Revision: 1}, hawser.ErrWrongGeneration},
	} {
		for _, err := range alice.Watch(ctx, client.After(bad.after)) {
			if !errors.Is(err, bad.want) {
				t.Errorf("a watch from %+v: %v", bad.after, err)
			}
			break
		}
	}
}
