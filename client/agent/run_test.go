// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/hawsertest"
)

// tally is a state that counts.
type tally struct {
	N     int
	Heard []string
}

// seen gathers events.
type seen struct {
	mu     sync.Mutex
	events []agent.Event
}

func (s *seen) note(e agent.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *seen) of(kind agent.EventKind) (of []agent.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == kind {
			of = append(of, e)
		}
	}
	return of
}

func config(name string, change ...func(*agent.Config[tally])) (agent.Config[tally], *seen) {
	s := &seen{}
	cfg := agent.Config[tally]{Name: name, TTL: time.Second, OnEvent: s.note, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	return cfg, s
}

// upTo counts to n.
func upTo(n int) agent.Step[tally] {
	return func(_ context.Context, t *agent.Turn[tally]) error {
		if t.State.N == n {
			return agent.Done
		}
		t.State.N++
		return nil
	}
}

func head(t *testing.T, c *client.Client, name string) (tally, hawser.Version) {
	t.Helper()
	cp, err := c.Agent(name).Restore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var state tally
	if err := json.Unmarshal(cp.State, &state); err != nil {
		t.Fatal(err)
	}
	return state, cp.Version
}

func dial(t *testing.T, cluster *hawsertest.Cluster) *client.Client {
	t.Helper()
	c, err := client.Dial(client.Config{Endpoints: []string{cluster.Endpoint(0)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// start runs an agent until the test ends, or the returned func is called, which
// returns how it ended.
func start(t *testing.T, c *client.Client, cfg agent.Config[tally], step agent.Step[tally]) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx, c, cfg, step) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !check(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// Claim: the state is saved after as many steps as asked for, and at the end; a
// second run goes on from there.
func TestRun_Saves(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	for _, every := range []int{1, 3, 100} {
		name := fmt.Sprint("every-", every)
		cfg, events := config(name, func(c *agent.Config[tally]) { c.Every, c.Schema = every, "v1" })
		if err := agent.Run(t.Context(), c, cfg, upTo(7)); err != nil {
			t.Fatal(err)
		}
		state, v := head(t, c, name)
		// Seven steps, and the one that says that it is done.
		if want := uint64((8 + every - 1) / every); state.N != 7 || v.Number != want {
			t.Errorf("every %d: counted to %d in %d versions, want %d", every, state.N, v.Number, want)
		}
		if v.ContentType != "application/json" || v.Schema != "v1" || v.Epoch == 0 {
			t.Errorf("version %+v", v)
		}
		if n := len(events.of(agent.Saved)); uint64(n) != v.Number {
			t.Errorf("%d events of %d saves", n, v.Number)
		}
		if err := agent.Run(t.Context(), c, cfg, upTo(9)); err != nil {
			t.Fatal(err)
		}
		if state, _ := head(t, c, name); state.N != 9 {
			t.Errorf("every %d: then counted to %d", every, state.N)
		}
		if owner, err := c.Agent(name).Owner(t.Context()); err == nil && len(owner.Holders) > 0 {
			t.Errorf("it is still owned: %+v", owner)
		}
	}
}

// Claim: what a step that fails has done to the state is dropped, what the steps
// before it came to is kept by the next run, and the error says whose it is.
func TestRun_StepFails(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	cfg, events := config("a")
	broken := errors.New("broken")
	err := agent.Run(t.Context(), c, cfg, func(_ context.Context, t *agent.Turn[tally]) error {
		if t.State.N++; t.State.N == 3 {
			t.Send("nobody", nil)
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), `agent "a": step`) {
		t.Fatalf("ended with %v", err)
	}
	if state, v := head(t, c, "a"); state.N != 2 || v.Number != 2 {
		t.Errorf("saved %+v as version %d", state, v.Number)
	}
	if ended := events.of(agent.Ended); len(ended) != 1 || !errors.Is(ended[0].Err, broken) {
		t.Errorf("ended: %v", ended)
	}
}

// Claim: of a state that cannot be decoded, or does not pass the check, the run
// goes back to the newest that can, by a version of its own; what is bad stays, and
// its newest is pinned.
func TestRun_WalksBack(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	cfg, events := config("a", func(c *agent.Config[tally]) {
		c.Check = func(s *tally) error {
			if s.N < 0 {
				return errors.New("less than nothing")
			}
			return nil
		}
	})
	if err := agent.Run(t.Context(), c, cfg, upTo(3)); err != nil { // versions 1 to 4
		t.Fatal(err)
	}
	for _, bad := range []string{`{"N":-5}`, `{"N":`} {
		if _, err := c.Agent("a").Save(t.Context(), []byte(bad), client.Overwrite(), client.Force()); err != nil {
			t.Fatal(err)
		}
	}
	if err := agent.Run(t.Context(), c, cfg, upTo(4)); err != nil {
		t.Fatal(err)
	}
	bad, rolled := events.of(agent.Bad), events.of(agent.RolledBack)
	if len(bad) != 2 || bad[0].Version != 6 || bad[1].Version != 5 || len(rolled) != 1 || rolled[0].Version != 7 {
		t.Errorf("bad %v, rolled back %v", bad, rolled)
	}
	state, v := head(t, c, "a")
	if state.N != 4 || v.Number != 9 {
		t.Errorf("went on to %+v, version %d", state, v.Number)
	}
	if v, err := c.Agent("a").ShowVersion(t.Context(), 6); err != nil || !v.Pinned {
		t.Errorf("the bad version: %+v, %v", v, err)
	}
}

// Claim: an agent of which no version is good is left as it is.
func TestRun_NothingGood(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	if _, err := c.Agent("a").Save(t.Context(), []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	cfg, _ := config("a")
	err := agent.Run(t.Context(), c, cfg, upTo(3))
	if !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "decode") {
		t.Fatalf("ended with %v", err)
	}
	if a, err := c.Agent("a").Show(t.Context()); err != nil || a.Head != 1 {
		t.Errorf("the agent: %+v, %v", a, err)
	}
}

// Claim: states of older schemas are migrated, over several steps if need be; one
// that no migration leads from stops the run, and nothing is written.
func TestRun_Migrates(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	if _, err := c.Agent("a").Save(t.Context(), []byte(`3`), client.Schema("number")); err != nil {
		t.Fatal(err)
	}
	wrap := func(from, to, format string) agent.Migration {
		return agent.Migration{From: from, To: to, Migrate: func(data []byte) ([]byte, error) { return fmt.Appendf(nil, format, data), nil }}
	}
	cfg, _ := config("a", func(c *agent.Config[tally]) {
		c.Schema, c.Migrations = "v2", []agent.Migration{wrap("list", "v2", "%s"), wrap("number", "list", "[%s]")}
	})
	cfg.Migrations[0].Migrate = func(data []byte) ([]byte, error) {
		var list []int
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, err
		}
		return json.Marshal(tally{N: list[0]})
	}
	if err := agent.Run(t.Context(), c, cfg, upTo(4)); err != nil {
		t.Fatal(err)
	}
	state, v := head(t, c, "a")
	if state.N != 4 || v.Schema != "v2" {
		t.Errorf("%+v, schema %q", state, v.Schema)
	}
	cfg.Schema, cfg.Migrations = "v1", nil
	err := agent.Run(t.Context(), c, cfg, upTo(9))
	var schema *agent.SchemaError
	if !errors.As(err, &schema) || schema.Version != v.Number || schema.Schema != "v2" || schema.Want != "v1" {
		t.Fatalf("an older build ended with %v", err)
	}
	if _, after := head(t, c, "a"); after.Number != v.Number {
		t.Errorf("version %d was written", after.Number)
	}
}

// Claim: of two that run an agent one does its steps; when it is stopped the other
// goes on where it was. No step is done twice or left out.
func TestRun_Takeover(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	var mu sync.Mutex
	var did []int
	step := func(ctx context.Context, turn *agent.Turn[tally]) error {
		mu.Lock()
		did = append(did, turn.State.N)
		mu.Unlock()
		turn.State.N++
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	}
	cfg, first := config("a")
	stop := start(t, dial(t, cluster), cfg, step)
	eventually(t, "the first one works", func() bool { return len(first.of(agent.Saved)) > 3 })
	cfg, second := config("a")
	stopSecond := start(t, dial(t, cluster), cfg, step)
	eventually(t, "the second one waits", func() bool { return len(second.of(agent.Waiting)) == 1 })
	if len(second.of(agent.Owned)) > 0 {
		t.Fatal("both own it")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second one works", func() bool { return len(second.of(agent.Saved)) > 3 })
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
	state, _ := head(t, cluster.Client(), "a")
	for i, n := range did {
		if n != i {
			t.Fatalf("steps %v", did)
		}
	}
	if state.N != len(did) {
		t.Errorf("%d steps were done, %d are saved", len(did), state.N)
	}
}

// Claim: when the ownership is taken away the step's context ends, nothing of that
// step is saved, and the run waits and goes on.
func TestRun_LosesOwnership(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	c := cluster.Client()
	cfg, events := config("a")
	cut, once := make(chan error, 1), true
	stop := start(t, dial(t, cluster), cfg, func(ctx context.Context, turn *agent.Turn[tally]) error {
		if turn.State.N == 2 && once {
			once, turn.State.N = false, 100
			<-ctx.Done()
			cut <- context.Cause(ctx)
			return ctx.Err()
		}
		if turn.State.N < 5 {
			turn.State.N++
		}
		time.Sleep(5 * time.Millisecond)
		return nil
	})
	eventually(t, "it works", func() bool { return len(events.of(agent.Saved)) == 2 })
	if err := c.Agent("a").Unclaim(t.Context(), "a test"); err != nil {
		t.Fatal(err)
	}
	if err := <-cut; !errors.Is(err, hawser.ErrOwnershipLost) {
		t.Errorf("the step's context ended with %v", err)
	}
	eventually(t, "it goes on", func() bool { state, _ := head(t, c, "a"); return state.N == 5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(events.of(agent.Lost)); n != 1 {
		t.Errorf("lost %d times", n)
	}
}

// Claim: what is finished is saved in time though a step goes on, and when the run
// is stopped in the middle of one, which gets its grace.
func TestRun_Interval(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	cfg, events := config("a", func(c *agent.Config[tally]) {
		c.Every, c.Interval, c.Grace = 100, 300*time.Millisecond, 100*time.Millisecond
	})
	blocked, ended := make(chan struct{}), make(chan time.Duration, 1)
	step := func(ctx context.Context, turn *agent.Turn[tally]) error {
		if turn.State.N < 2 {
			turn.State.N++
			return nil
		}
		turn.State.N = 100
		close(blocked)
		<-ctx.Done()
		ended <- 0
		return ctx.Err()
	}
	stop := start(t, c, cfg, step)
	<-blocked
	eventually(t, "it is saved in time", func() bool { return len(events.of(agent.Saved)) == 1 })
	begin := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("the step's context ended after %v", took)
	}
	if state, v := head(t, c, "a"); state.N != 2 || v.Number != 1 {
		t.Errorf("%+v, version %d", state, v.Number)
	}
}

// Claim: messages are consumed and sent with the save after the step, and an effect
// runs once, though the step is done again.
func TestRun_MessagesAndEffects(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	out := c.Agent("out")
	if _, err := out.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agent("a").Save(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	const messages = 30
	for i := range messages {
		if _, err := c.Send(t.Context(), "a", fmt.Appendf(nil, "m%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _ := config("a", func(c *agent.Config[tally]) { c.Every = 4 })
	calls, fails := map[string]int{}, 0
	step := func(ctx context.Context, turn *agent.Turn[tally]) error {
		if len(turn.State.Heard) == messages {
			return agent.Done
		}
		m, err := turn.Message(ctx)
		if err != nil {
			return err
		}
		text := string(m.Payload)
		result, err := turn.Effect(ctx, "of "+text, hawser.OnUnknownRetry, func(context.Context, string) ([]byte, error) {
			calls[text]++
			return []byte("done " + text), nil
		})
		if err != nil {
			return err
		}
		turn.State.Heard = append(turn.State.Heard, string(result))
		turn.Send("out", result)
		if fails++; fails%7 == 0 {
			return errors.New("a crash")
		}
		return nil
	}
	var err error
	for range 20 {
		if err = agent.Run(t.Context(), c, cfg, step); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	state, _ := head(t, c, "a")
	var sent []string
	for m, err := range out.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, string(m.Payload))
	}
	for i := range messages {
		text := fmt.Sprint("m", i)
		if calls[text] != 1 || !slices.Equal(state.Heard, sent) || sent[i] != "done "+text {
			t.Fatalf("calls %v, heard %q, sent %q", calls, state.Heard, sent)
		}
	}
	for m, err := range c.Agent("a").Messages(t.Context()) {
		t.Errorf("left in the inbox: %v, %v", m, err)
	}
}

// Claim: steps that take and send more than one save carries are saved in between, each
// as it was at its end.
func TestRun_FullSaves(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	for _, name := range []string{"a", "out"} {
		if _, err := c.Agent(name).Save(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	const messages = 250
	for i := range messages {
		if _, err := c.Send(t.Context(), "a", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	cfg, events := config("a", func(c *agent.Config[tally]) { c.Every = 1000 })
	err := agent.Run(t.Context(), c, cfg, func(ctx context.Context, turn *agent.Turn[tally]) error {
		if turn.State.N == messages {
			return agent.Done
		}
		for range 10 {
			m, err := turn.Message(ctx)
			if err != nil {
				return err
			}
			turn.Send("out", append(m.Payload, make([]byte, 1<<10)...))
			turn.State.N++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	state, _ := head(t, c, "a")
	sent := 0
	for _, err := range c.Agent("out").Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		sent++
	}
	if saves := len(events.of(agent.Saved)); state.N != messages || sent != messages || saves < 4 || saves > 12 {
		t.Errorf("counted %d, sent %d, in %d saves", state.N, sent, saves)
	}
}

// Claim: transactions change the states of agents between their steps, those that
// wait for messages too; nothing of either is lost.
func TestRun_Transactions(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	c := cluster.Client()
	participant := agent.Participant[tally]{
		Prepare: func(_ context.Context, state *tally, req client.TxnRequest) (*tally, error) {
			if string(req.Payload) == "no" {
				return nil, client.VoteNo("it does not want to")
			}
			state.Heard = append(state.Heard, string(req.Payload))
			return state, nil
		},
	}
	var taken atomic.Int64
	counts := func(_ context.Context, turn *agent.Turn[tally]) error {
		turn.State.N++
		time.Sleep(2 * time.Millisecond)
		return nil
	}
	waits := func(ctx context.Context, turn *agent.Turn[tally]) error {
		if _, err := turn.Message(ctx); err != nil {
			return err
		}
		turn.State.N++
		taken.Add(1)
		return nil
	}
	stops := map[string]func() error{}
	for name, step := range map[string]agent.Step[tally]{"counts": counts, "waits": waits} {
		cfg, events := config(name, func(c *agent.Config[tally]) { c.Participant, c.Every = participant, 5 })
		stops[name] = start(t, dial(t, cluster), cfg, step)
		eventually(t, "it works", func() bool { return len(events.of(agent.Restored)) == 1 })
	}
	const txns = 20
	for i := range txns {
		payload := fmt.Appendf(nil, "t%d", i)
		if i%5 == 4 {
			payload = []byte("no")
		}
		info, err := c.Transact(t.Context(), client.Txn{
			Participants: []client.TxnTask{{Agent: "counts", Payload: payload}, {Agent: "waits", Payload: payload}},
		})
		if (err == nil) == (i%5 == 4) {
			t.Fatalf("transaction %d: %+v, %v", i, info, err)
		}
		if _, err := c.Send(t.Context(), "waits", payload); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "messages are taken", func() bool { return taken.Load() == txns })
	for name, stop := range stops {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		state, _ := head(t, c, name)
		var want []string
		for i := range txns {
			if i%5 != 4 {
				want = append(want, fmt.Sprint("t", i))
			}
		}
		if !slices.Equal(state.Heard, want) {
			t.Errorf("%s heard %q", name, state.Heard)
		}
		if name == "waits" && state.N != txns || name == "counts" && state.N == 0 {
			t.Errorf("%s counted to %d", name, state.N)
		}
	}
}

// Claim: while the store is away an agent does no step that could be lost, and goes on
// when it is back, from what was saved last.
func TestRun_Outage(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	c, err := client.Dial(client.Config{Endpoints: []string{cluster.Endpoint(0)}, RequestTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	cfg, events := config("a")
	var steps atomic.Int64
	stop := start(t, c, cfg, func(_ context.Context, turn *agent.Turn[tally]) error {
		turn.State.N++
		steps.Add(1)
		time.Sleep(10 * time.Millisecond)
		return nil
	})
	eventually(t, "it works", func() bool { return len(events.of(agent.Saved)) > 5 })
	cluster.Kill(0)
	time.Sleep(3 * time.Second)
	before := steps.Load()
	saved := len(events.of(agent.Saved))
	cluster.Restart(0)
	eventually(t, "it goes on", func() bool { return len(events.of(agent.Saved)) > saved+5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// One step may have been done before the end of the ownership was known, and was
	// dropped or saved.
	state, _ := head(t, cluster.Client(), "a")
	if lost := steps.Load() - int64(state.N); lost < 0 || lost > 2 || before > int64(saved)+2 {
		t.Errorf("%d steps were done, %d of them before the store was back, of which %d were saved; %d are in the state", steps.Load(), before, saved, state.N)
	}
}

func TestRun_RefusesBadConfigs(t *testing.T) {
	t.Parallel()
	step := upTo(1)
	for name, run := range map[string]func() error{
		"no step": func() error { return agent.Run(t.Context(), nil, agent.Config[tally]{Name: "a"}, nil) },
		"every":   func() error { return agent.Run(t.Context(), nil, agent.Config[tally]{Name: "a", Every: -1}, step) },
		"migration": func() error {
			return agent.Run(t.Context(), nil, agent.Config[tally]{Name: "a", Migrations: []agent.Migration{{From: "a", To: "b"}}}, step)
		},
	} {
		if err := run(); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
