// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

var pipelineMessages = flag.Int("pipeline.messages", 300, "messages that TestMessages_Pipeline sends")

// Claim: messages wait in order, come with the restore, and go with the save that
// consumes them, which sends others: all or nothing, once.
func TestMessages_MoveWithASave(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3).Client()
	a, b := c.Agent("a"), c.Agent("b")
	for _, agent := range []*client.Agent{a, b} {
		if _, err := agent.Save(t.Context(), []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Sender()
	for i := range 3 {
		m, err := s.Send(t.Context(), "a", fmt.Appendf(nil, "message %d", i), client.Label("n", fmt.Sprint(i)))
		if err != nil || m.Number != uint64(i+1) {
			t.Fatalf("%+v %v", m, err)
		}
	}
	cp, err := a.Restore(t.Context())
	if err != nil || len(cp.Messages) != 3 || string(cp.Messages[1].Payload) != "message 1" || cp.Messages[1].Labels["n"] != "1" || cp.MoreMessages {
		t.Fatalf("%+v %v", cp.Messages, err)
	}
	if cp, err := a.Restore(t.Context(), client.WithoutMessages()); err != nil || len(cp.Messages) > 0 {
		t.Errorf("%+v %v", cp.Messages, err)
	}
	// Large, so that it goes in parts.
	large := slices.Repeat([]byte("large and larger "), 100_000)
	for i := range large {
		large[i] ^= byte(rand.Uint32())
	}
	v, err := a.Save(t.Context(), large, client.Consume(3, 1), client.Emit("b", []byte("from a"), client.Label("k", "v")), client.Emit("a", []byte("to myself")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Save(t.Context(), []byte("again"), client.Consume(2, 3)); !errors.Is(err, hawser.ErrMessageGone) {
		t.Errorf("consumed twice: %v", err)
	}
	cp, err = a.Restore(t.Context())
	if err != nil || cp.Version.Number != v.Number || len(cp.Messages) != 2 || cp.Messages[0].Number != 2 || string(cp.Messages[1].Payload) != "to myself" {
		t.Fatalf("%d %+v %v", cp.Version.Number, cp.Messages, err)
	}
	cp, err = b.Restore(t.Context())
	if err != nil || len(cp.Messages) != 1 {
		t.Fatalf("%+v %v", cp.Messages, err)
	}
	if m := cp.Messages[0]; string(m.Payload) != "from a" || m.From != (hawser.VersionRef{Agent: a.ID(), Number: v.Number}) || m.Labels["k"] != "v" || m.Revision != v.Revision {
		t.Errorf("%+v", m)
	}
	if _, err := b.Rollback(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if m, err := s.Send(t.Context(), "b", nil); err != nil || m.Number != 2 {
		t.Errorf("after Close: %+v %v", m, err)
	}
	if err := b.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), "b", nil); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("to an agent that was deleted: %v", err)
	}
	if n := len(collectMessages(t, b)); n != 0 {
		t.Errorf("%d messages of an agent that was deleted", n)
	}
}

func collectMessages(t *testing.T, a *client.Agent) (messages []hawser.Message) {
	t.Helper()
	for m, err := range a.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

// What makes no sense is refused with a word that says why, and changes nothing.
func TestMessages_BadInput(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	a := c.Agent("a")
	if _, err := a.Save(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	m, err := c.Send(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	huge := make([]byte, hawser.MaxMessage+1)
	many := make([]uint64, hawser.MaxConsumed+1)
	for i := range many {
		many[i] = uint64(i + 1)
	}
	save := func(opts ...client.SaveOption) error {
		_, err := a.Save(t.Context(), []byte("two"), opts...)
		return err
	}
	send := func(agent string, payload []byte, opts ...client.MessageOption) error {
		_, err := c.Send(t.Context(), agent, payload, opts...)
		return err
	}
	foreign := hawser.MessageID{Session: hawser.NewSessionID(), Sequence: 1}
	gap := hawser.MessageID{Session: m.ID.Session, Sequence: m.ID.Sequence + 5}
	emits := func(n, size int) (opts []client.SaveOption) {
		for range n {
			opts = append(opts, client.Emit("a", make([]byte, size)))
		}
		return opts
	}
	for _, test := range []struct {
		what string
		err  error
		want error
	}{
		{"too large", send("a", huge), hawser.ErrTooLarge},
		{"nobody", send("nobody", nil), hawser.ErrNotFound},
		{"bad name", send("a//b", nil), hawser.ErrInvalid},
		{"label", send("a", nil, client.Label("", "x")), hawser.ErrInvalid},
		{"foreign session", send("a", nil, client.WithMessageID(foreign)), hawser.ErrRequestExpired},
		{"gap", send("a", nil, client.WithMessageID(gap)), hawser.ErrInvalid},
		{"no sequence", send("a", nil, client.WithMessageID(hawser.MessageID{Session: m.ID.Session})), hawser.ErrInvalid},
		{"another message", send("a", []byte("x"), client.WithMessageID(m.ID)), hawser.ErrRequestMismatch},
		{"the same again", send("a", nil, client.WithMessageID(m.ID)), nil},
		{"consume none", save(client.Consume(0)), hawser.ErrInvalid},
		{"consume twice", save(client.Consume(1, 1)), hawser.ErrInvalid},
		{"consume absurd", save(client.Consume(1, 1<<63)), hawser.ErrInvalid},
		{"consume the next", save(client.Consume(2)), hawser.ErrInvalid},
		{"consume many", save(client.Consume(many...)), hawser.ErrInvalid},
		{"emit to nobody", save(client.Consume(1), client.Emit("nobody", nil)), hawser.ErrNotFound},
		{"emit to a bad name", save(client.Emit("../x", nil)), hawser.ErrInvalid},
		{"emit many", save(emits(hawser.MaxEmitted+1, 0)...), hawser.ErrInvalid},
		{"emit large", save(emits(1, hawser.MaxMessage+1)...), hawser.ErrTooLarge},
		{"emit large together", save(emits(2, hawser.MaxMessage)...), hawser.ErrTooLarge},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", test.what, test.err, test.want)
		}
	}
	if in := collectMessages(t, a); len(in) != 1 || a.Head() != 1 {
		t.Errorf("%d messages, head %d", len(in), a.Head())
	}
	// All that is possible at once fits into an entry.
	state := make([]byte, 127<<10)
	for i := range state {
		state[i] = byte(rand.Uint32())
	}
	opts := emits(hawser.MaxEmitted, (hawser.MaxEmittedBytes-hawser.MaxEmitted)/hawser.MaxEmitted)
	for i := range hawser.MaxLabels {
		opts = append(opts, client.Label(fmt.Sprint(i, strings.Repeat("k", hawser.MaxLabelKey-2)), strings.Repeat("v", hawser.MaxLabelValue)))
	}
	for range hawser.MaxDerivedFrom {
		opts = append(opts, client.DerivedFrom(hawser.VersionRef{Agent: hawser.AgentID{Namespace: "default", Name: strings.Repeat("n", hawser.MaxAgentName)}, Number: 1 << 60}))
	}
	if _, err := a.Save(t.Context(), state, opts...); err != nil {
		t.Error(err)
	}
}

// A full inbox pushes back, and takes more once something is consumed.
func TestMessages_FullInbox(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	a := c.Agent("a")
	if _, err := a.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s := c.Sender()
	full := hawser.MaxInboxBytes / hawser.MaxMessage
	for i := range full {
		if _, err := s.Send(t.Context(), "a", make([]byte, hawser.MaxMessage)); err != nil {
			t.Fatal(i, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := s.Send(ctx, "a", []byte("x")); !errors.Is(err, hawser.ErrOverloaded) {
		t.Errorf("%v", err)
	}
	if cp, err := a.Restore(t.Context()); err != nil || !cp.MoreMessages || len(cp.Messages) != 4 {
		t.Errorf("%d messages, more %t: %v", len(cp.Messages), cp.MoreMessages, err)
	}
	if n := len(collectMessages(t, a)); n != full {
		t.Errorf("listed %d of %d", n, full)
	}
	if _, err := a.Save(t.Context(), []byte("one"), client.Consume(1)); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Send(t.Context(), "a", []byte("x")); err != nil || m.Number != uint64(full+1) {
		t.Errorf("%+v %v", m, err)
	}
}

// An inbox waits, goes on at another node, and begins anew for who asks again.
func TestMessages_InboxGoesOn(t *testing.T) {
	t.Parallel()
	nodes := hawsertest.StartCluster(t, 3)
	c := nodes.Client()
	if _, err := c.Agent("a").Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	const n = 30
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	received := make(chan hawser.Message)
	var group sync.WaitGroup
	group.Go(func() {
		for m, err := range c.Agent("a").Inbox(ctx) {
			if err != nil {
				t.Error(err)
				break
			}
			if received <- m; m.Number == n {
				break
			}
		}
		close(received)
	})
	s := c.Sender()
	var sent sync.WaitGroup
	sent.Go(func() {
		for i := range n {
			for {
				_, err := s.Send(ctx, "a", []byte{byte(i)})
				if err == nil {
					break
				}
				if ctx.Err() != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	next := uint64(1)
	for m := range received {
		if m.Number != next || len(m.Payload) != 1 || m.Payload[0] != byte(next-1) {
			t.Fatalf("%+v, want %d", m, next)
		}
		if next == 5 {
			nodes.Kill(nodes.Leader())
		}
		next++
	}
	sent.Wait()
	group.Wait()
	if next != n+1 {
		t.Errorf("the inbox ended before message %d", next)
	}
	for m, err := range c.Agent("a").Inbox(ctx, client.AfterMessage(7)) {
		if err != nil || m.Number != 8 {
			t.Errorf("%+v %v", m, err)
		}
		break
	}
}

// stage is the state of an agent of the pipeline: what it has counted of each
// message, and for the last one in which order.
type stage struct {
	Seen map[string]int `json:"seen"`
}

// worker is one instance after another of an agent that takes messages, counts
// them, and sends them on.
type worker struct {
	c         *client.Client
	endpoints []string
	from, to  string
	lives     atomic.Int64
	rng       *rand.Rand
}

// live runs instances until ctx ends. Each is cut off at a random moment: with
// its context, whatever it was doing, or by losing its claim.
func (w *worker) live(ctx context.Context) {
	for ctx.Err() == nil {
		life, cancel := context.WithTimeout(ctx, time.Duration(20+w.rng.IntN(3000))*time.Millisecond)
		_ = w.instance(life) // it is cut off, mostly
		if w.lives.Add(1); w.rng.IntN(4) == 0 && ctx.Err() == nil {
			short, end := context.WithTimeout(ctx, time.Second)
			_ = w.c.Agent(w.from).Unclaim(short, "for a test")
			end()
		}
		cancel()
	}
}

// instance claims the agent, restores and works as long as it may.
func (w *worker) instance(ctx context.Context) error {
	c, err := client.Dial(client.Config{Endpoints: w.endpoints})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // its lease has to run out, unless it was released
	own, err := c.Agent(w.from).Claim(ctx, client.TTL(time.Second))
	if err != nil {
		return err
	}
	if w.rng.IntN(2) == 0 {
		defer func() {
			release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = own.Release(release)
		}()
	}
	for ctx.Err() == nil {
		if err := w.step(ctx, own); err != nil && !errors.Is(err, hawser.ErrOverloaded) {
			if errors.Is(err, hawser.ErrFenced) || errors.Is(err, hawser.ErrOwnershipLost) || ctx.Err() != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// step restores, takes what is there, and saves what follows from it together
// with what it sends on.
func (w *worker) step(ctx context.Context, own *client.Claim) error {
	cp, err := own.Restore(ctx)
	state := stage{Seen: map[string]int{}}
	switch {
	case errors.Is(err, hawser.ErrNotFound):
		for m, err := range own.Agent().Messages(ctx, client.Limit(100)) {
			if err != nil {
				return err
			}
			cp.Messages = append(cp.Messages, m)
		}
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(cp.State, &state); err != nil {
			return err
		}
	}
	if len(cp.Messages) == 0 {
		waiting, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		for range own.Agent().Inbox(waiting) {
			return nil
		}
		return ctx.Err()
	}
	take := cp.Messages[:1+w.rng.IntN(len(cp.Messages))]
	var opts []client.SaveOption
	for _, m := range take {
		state.Seen[string(m.Payload)]++
		opts = append(opts, client.Consume(m.Number))
		if w.to != "" {
			opts = append(opts, client.Emit(w.to, m.Payload))
		}
	}
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	_, err = own.Save(ctx, b, opts...)
	return err
}

// Claim: messages that go through three agents, whose owners are cut off at any
// point, lose their claims, and lose the leader of the cluster, are each in the
// state of every one of them exactly once. "make messages" sends 10,000.
func TestMessages_Pipeline(t *testing.T) {
	t.Parallel()
	n := *pipelineMessages
	nodes := hawsertest.StartCluster(t, 3)
	c := nodes.Client()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(n)*50*time.Millisecond)
	defer cancel()
	names := []string{"a", "b", "c"}
	for _, name := range names {
		if _, err := c.Agent(name).Save(ctx, []byte(`{"seen":{}}`)); err != nil {
			t.Fatal(err)
		}
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var workers []*worker
	var endpoints []string
	for i := range nodes.Size() {
		endpoints = append(endpoints, nodes.Endpoint(i))
	}
	for i, name := range names {
		w := &worker{c: c, endpoints: endpoints, from: name, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		if i+1 < len(names) {
			w.to = names[i+1]
		}
		workers = append(workers, w)
		group.Go(func() { w.live(work) })
	}
	var unknown atomic.Int64
	for part := range 3 {
		group.Go(func() { feed(ctx, t, c, part, n, &unknown) })
	}
	killed := 0
	for begin := time.Now(); ctx.Err() == nil; {
		if done := seenBy(ctx, t, c, "c"); len(done) == n {
			break
		}
		time.Sleep(250 * time.Millisecond)
		if time.Since(begin) > 4*time.Second {
			i := nodes.KillLeader()
			time.Sleep(2 * time.Second)
			nodes.Restart(i)
			killed, begin = killed+1, time.Now()
		}
	}
	stop()
	group.Wait()
	lives := int64(0)
	for _, w := range workers {
		lives += w.lives.Load()
	}
	t.Logf("%d messages, %d instances, %d leaders killed, %d sends whose answer was lost", n, lives, killed, unknown.Load())
	for _, name := range names {
		seen := seenBy(t.Context(), t, c, name)
		if len(seen) != n {
			t.Errorf("%s has seen %d messages of %d", name, len(seen), n)
		}
		for what, times := range seen {
			if times != 1 {
				t.Errorf("%s has seen %s %d times", name, what, times)
			}
		}
		if left := collectMessages(t, c.Agent(name)); len(left) != 0 {
			t.Errorf("%d messages are left for %s", len(left), name)
		}
	}
}

// feed sends a third of n messages to the first agent, each until it is known to
// be sent, with contexts that end at any point.
func feed(ctx context.Context, t *testing.T, c *client.Client, part, n int, unknown *atomic.Int64) {
	t.Helper()
	s := c.Sender()
	for i := part; i < n; i += 3 {
		payload := fmt.Appendf(nil, "m%d", i)
		for attempt := 0; ctx.Err() == nil; attempt++ {
			patience := time.Second
			if i%7 == 0 && attempt < 3 {
				patience = time.Duration(rand.IntN(30_000)) * time.Microsecond
			}
			short, cancel := context.WithTimeout(ctx, patience)
			_, err := s.Send(short, "a", payload)
			cancel()
			if err == nil {
				break
			}
			if errors.Is(err, hawser.ErrOutcomeUnknown) {
				unknown.Add(1)
			}
		}
	}
}

func seenBy(ctx context.Context, t *testing.T, c *client.Client, name string) map[string]int {
	t.Helper()
	var state stage
	cp, err := c.Agent(name).Restore(ctx)
	if err == nil {
		err = json.Unmarshal(cp.State, &state)
	}
	if err != nil {
		t.Logf("%s: %v", name, err)
	}
	return state.Seen
}

// Claim: a save under a claim carries its fence, consumes and sends however large
// it is.
func TestMessages_LargeSaveUnderAClaim(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	own, err := c.Agent("a").Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), "a", []byte("to a claim")); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Restore(t.Context()); !errors.Is(err, hawser.ErrNotFound) {
		t.Fatalf("%v", err)
	}
	in := collectMessages(t, own.Agent())
	if len(in) != 1 || string(in[0].Payload) != "to a claim" {
		t.Fatalf("%+v", in)
	}
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	if _, err := own.Save(t.Context(), large, client.Consume(in[0].Number), client.Emit("a", []byte("and on"))); err != nil {
		t.Fatal(err)
	}
	if cp, err := own.Restore(t.Context()); err != nil || len(cp.Messages) != 1 || string(cp.Messages[0].Payload) != "and on" {
		t.Errorf("%+v %v", cp.Messages, err)
	}
}
