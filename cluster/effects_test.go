// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// bank is a payment server. A request with a key that it knows is answered as the
// first one was, and pays nothing.
type bank struct {
	*httptest.Server

	mu       sync.Mutex
	requests map[string]int // by key
	paid     map[string]string
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{requests: map[string]int{}, paid: map[string]string{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		b.requests[key]++
		if b.paid[key] == "" {
			b.paid[key] = fmt.Sprintf("receipt %d", len(b.paid)+1)
		}
		_, _ = io.WriteString(w, b.paid[key])
	}))
	t.Cleanup(b.Close)
	return b
}

// charge is the tool of the tests' agents.
func (b *bank) charge(ctx context.Context, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, strings.NewReader("10 EUR"))
	if err != nil {
		return nil, client.NotDone(err)
	}
	req.Header.Set("Idempotency-Key", key)
	resp, err := b.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// counts returns how many requests the bank saw, and how many payments it made.
func (b *bank) counts() (requests, payments int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.requests {
		requests += n
	}
	return requests, len(b.paid)
}

func (b *bank) expect(t *testing.T, when string, requests, payments int) {
	t.Helper()
	if r, p := b.counts(); r != requests || p != payments {
		t.Errorf("%s: the bank saw %d requests and made %d payments, want %d and %d", when, r, p, requests, payments)
	}
}

// dialAs returns a client of its own: another process, as far as the cluster sees.
func dialAs(t *testing.T, c *hawsertest.Cluster, instance string) *client.Client {
	t.Helper()
	var endpoints []string
	for i := range c.Size() {
		endpoints = append(endpoints, c.Endpoint(i))
	}
	conn, err := client.Dial(client.Config{Endpoints: endpoints, Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Claim: an agent that is killed between the call and the save leaves an effect
// that its successor finds as unknown, with the key; under the policy retry it is
// run again with that key, and paid once. Under ask it is not run, and people
// resolve it.
func TestEffects_KilledBetweenCallAndSave(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	bank := newBank(t)
	first, second := dialAs(t, cluster, "first"), dialAs(t, cluster, "second")
	own, err := first.Agent("buyer").Claim(t.Context(), client.TTL(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Save(t.Context(), []byte("about to pay")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"charge", "charge again"} {
		e, run, err := own.BeginEffect(t.Context(), id, hawser.OnUnknownRetry, client.EffectDescription("10 EUR to the shop"))
		if err != nil || !run {
			t.Fatal(run, err)
		}
		if _, err := bank.charge(t.Context(), e.Key); err != nil {
			t.Fatal(err)
		}
	}
	_ = first.Close() // killed: the claim is not released, nothing is recorded

	next, err := second.Agent("buyer").Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Release(context.WithoutCancel(t.Context())) }()
	cp, err := next.Restore(t.Context())
	if err != nil || len(cp.Effects) != 2 {
		t.Fatal(cp.Effects, err)
	}
	e := cp.Effects[0]
	if e.ID != "charge" || e.State != hawser.EffectOpen || e.Policy != hawser.OnUnknownRetry || e.Key == "" || e.Instance != "first" || e.Description == "" {
		t.Errorf("the successor finds %+v", e)
	}
	result, err := next.Effect(t.Context(), "charge", hawser.OnUnknownRetry, bank.charge)
	if err != nil || string(result) != "receipt 1" {
		t.Fatalf("%q %v", result, err)
	}
	bank.expect(t, "retried", 3, 2)
	result, err = next.Effect(t.Context(), "charge", hawser.OnUnknownRetry, bank.charge)
	if err != nil || string(result) != "receipt 1" {
		t.Fatalf("%q %v", result, err)
	}
	bank.expect(t, "known", 3, 2)

	var unknown *hawser.UnknownEffectError
	if _, err := next.Effect(t.Context(), "charge again", hawser.OnUnknownAsk, bank.charge); !errors.As(err, &unknown) || unknown.Effect.Instance != "first" {
		t.Fatal(err)
	}
	if _, err := next.Effect(t.Context(), "charge again", hawser.OnUnknownSkip, bank.charge); !errors.Is(err, hawser.ErrEffectSkipped) {
		t.Fatal(err)
	}
	if _, err := second.Agent("buyer").ResolveEffect(t.Context(), "charge again", client.Resolution{State: hawser.EffectDone, Result: []byte("by phone"), Reason: "the bank says so"}); err != nil {
		t.Fatal(err)
	}
	if result, err := next.Effect(t.Context(), "charge again", hawser.OnUnknownAsk, bank.charge); err != nil || string(result) != "by phone" {
		t.Fatalf("%q %v", result, err)
	}
	bank.expect(t, "resolved", 3, 2)
}

// goBack is a way to take an agent from version 9 back to version 7: it returns
// the one that goes on.
type goBack func(t *testing.T, c *client.Client, a *client.Agent) *client.Agent

// Claim: paid at version 9, taken back to 7, run again: the server sees no second
// request, and the agent gets the receipt. The same for a cut that was made at
// version 7, for a fork of that version, and for one of a source that was deleted
// since.
func TestEffects_PaidOnceHoweverOneGoesBack(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	ways := map[string]goBack{
		"rollback": func(t *testing.T, _ *client.Client, a *client.Agent) *client.Agent {
			t.Helper()
			if _, err := a.Rollback(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
			return a
		},
		"cut": func(t *testing.T, c *client.Client, a *client.Agent) *client.Agent {
			t.Helper()
			if _, err := c.RollbackTo(t.Context(), a.ID().Name); err != nil {
				t.Fatal(err)
			}
			back := c.Agent(a.ID().Name) // a handle stands where it was
			return back
		},
		"fork": func(t *testing.T, c *client.Client, a *client.Agent) *client.Agent {
			t.Helper()
			fork := c.Agent(a.ID().Name + "-fork")
			if _, err := a.Fork(t.Context(), fork.ID().Name, client.AtVersion(7)); err != nil {
				t.Fatal(err)
			}
			return fork
		},
		"fork of one that is gone": func(t *testing.T, c *client.Client, a *client.Agent) *client.Agent {
			t.Helper()
			between, fork := c.Agent(a.ID().Name+"-between"), c.Agent(a.ID().Name+"-fork")
			for _, step := range []func() error{
				func() error { _, err := a.Fork(t.Context(), between.ID().Name, client.AtVersion(7)); return err },
				func() error { return a.Delete(t.Context()) },
				func() error { _, err := between.Restore(t.Context()); return err }, // a delete names the head it saw
				func() error { _, err := between.Fork(t.Context(), fork.ID().Name); return err },
				func() error { return between.Delete(t.Context()) },
			} {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			return fork
		},
	}
	for name, back := range ways {
		for _, with := range []string{"a save", "nothing"} {
			t.Run(name+", recorded with "+with, func(t *testing.T) {
				bank := newBank(t)
				a := c.Agent("buyer-" + strings.ReplaceAll(name+"-"+with, " ", "-"))
				for range 8 {
					if _, err := a.Save(t.Context(), fmt.Appendf(nil, "step %d", a.Head()+1)); err != nil {
						t.Fatal(err)
					}
					if a.Head() == 7 {
						if _, err := c.Cut(t.Context(), a.ID().Name, client.CutAgents(a.ID().Name)); err != nil {
							t.Fatal(err)
						}
					}
				}
				pay(t, a, bank, with == "a save")
				if a.Head() != 9 {
					t.Fatalf("paid at version %d", a.Head())
				}
				bank.expect(t, "paid", 1, 1)
				a = back(t, c, a)
				cp, err := a.Restore(t.Context())
				if err != nil || string(cp.State) != "step 7" || len(cp.Effects) != 1 {
					t.Fatalf("%q %+v %v", cp.State, cp.Effects, err)
				}
				if e := cp.Effects[0]; e.ID != "charge" || e.State != hawser.EffectDone || string(e.Result) != "receipt 1" {
					t.Errorf("told of %+v", e)
				}
				for range 2 { // step 8, and 9 again
					if _, err := a.Save(t.Context(), []byte("again")); err != nil {
						t.Fatal(err)
					}
				}
				pay(t, a, bank, with == "a save")
				bank.expect(t, "run again", 1, 1)
				if cp, err = a.Restore(t.Context()); err != nil || string(cp.State) != "paid: receipt 1" {
					t.Errorf("%q %v", cp.State, err)
				}
			})
		}
	}
}

// pay runs the effect and saves its result, in one entry or in two.
func pay(t *testing.T, a *client.Agent, bank *bank, together bool) {
	t.Helper()
	if !together {
		result, err := a.Effect(t.Context(), "charge", hawser.OnUnknownAsk, bank.charge)
		if err == nil {
			_, err = a.Save(t.Context(), append([]byte("paid: "), result...))
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	e, run, err := a.BeginEffect(t.Context(), "charge", hawser.OnUnknownAsk)
	if err != nil {
		t.Fatal(err)
	}
	if run {
		if e.Result, err = bank.charge(t.Context(), e.Key); err != nil {
			t.Fatal(err)
		}
	} else if e.State != hawser.EffectDone {
		t.Fatalf("it is %v", e.State)
	}
	if _, err := a.Save(t.Context(), append([]byte("paid: "), e.Result...), client.EffectDone("charge", e.Result)); err != nil {
		t.Fatal(err)
	}
}

// Claim: the leader killed while an effect is begun, or ended: once. Method: the
// leader dies again and again while an agent pays; every payment is asked for
// once, because the same call recognises its own beginning.
func TestEffects_LeaderKilled(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	bank := newBank(t)
	c := cluster.Client()
	a := c.Agent("buyer")
	if _, err := a.Save(t.Context(), []byte("start")); err != nil {
		t.Fatal(err)
	}
	const payments = 60
	killed := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for i := range payments {
			id := fmt.Sprint("charge ", i)
			result, err := a.Effect(context.Background(), id, hawser.OnUnknownAsk, func(ctx context.Context, key string) ([]byte, error) {
				result, err := bank.charge(ctx, key)
				if i%20 == 10 {
					killed <- struct{}{} // before the end is recorded
				}
				return result, err
			})
			if err == nil {
				_, err = a.Save(context.Background(), result)
			}
			if err != nil {
				done <- fmt.Errorf("%s: %w", id, err)
				return
			}
			if i%20 == 15 {
				killed <- struct{}{} // before the next is begun
			}
		}
		done <- nil
	}()
	kills := 0
	for {
		select {
		case <-killed:
			i := cluster.KillLeader()
			kills++
			cluster.Restart(i)
			continue
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	if kills != 6 {
		t.Errorf("%d leaders were killed", kills)
	}
	bank.expect(t, "all paid", payments, payments)
	for e, err := range a.Effects(t.Context()) {
		if err != nil || e.State != hawser.EffectDone || e.Attempts != 1 {
			t.Fatalf("%+v %v", e, err)
		}
	}
}

// Claim: what cannot be is refused, with an error that says so.
func TestEffects_BadInput(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	c := cluster.Client()
	a := c.Agent("a")
	if _, err := a.Save(t.Context(), []byte("s")); err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, string) ([]byte, error) { return nil, nil }
	effect := func(a *client.Agent, id string, opts ...client.EffectOption) error {
		_, err := a.Effect(t.Context(), id, hawser.OnUnknownAsk, nothing, opts...)
		return err
	}
	save := func(opts ...client.SaveOption) error {
		_, err := a.Save(t.Context(), []byte("x"), opts...)
		return err
	}
	if err := effect(a, "done", client.EffectInput([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	gone := c.Agent("gone")
	if _, err := gone.Save(t.Context(), []byte("s")); err != nil {
		t.Fatal(err)
	}
	if err := effect(gone, "x"); err != nil {
		t.Fatal(err)
	}
	if err := gone.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	claimed := c.Agent("claimed")
	own, err := claimed.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := own.Fence().Token
	if _, err := own.Effect(t.Context(), "first", hawser.OnUnknownAsk, nothing); err != nil { // before any version
		t.Fatal(err)
	}
	if err := own.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, hawser.MaxEffectResult+1)
	_, finishErr := a.FinishEffect(t.Context(), "done", []byte("other"))
	_, largeErr := a.FinishEffect(t.Context(), "done", large)
	_, resolveErr := a.ResolveEffect(t.Context(), "done", client.Resolution{State: hawser.EffectRetry, Reason: "r"})
	_, reasonErr := a.ResolveEffect(t.Context(), "done", client.Resolution{State: hawser.EffectRetry})
	_, policyErr := a.Effect(t.Context(), "new", 0, nothing)
	_, releasedErr := own.Effect(t.Context(), "second", hawser.OnUnknownAsk, nothing)
	_, forgetErr := a.ForgetEffects(t.Context(), 0)
	_, showErr := a.ShowEffect(t.Context(), "nothing")
	var many []client.SaveOption
	for i := range hawser.MaxEffectsPerSave + 1 {
		many = append(many, client.EffectDone(fmt.Sprint(i), nil))
	}
	for what, c := range map[string]struct{ got, want error }{
		"no id":                    {effect(a, ""), hawser.ErrInvalid},
		"a huge id":                {effect(a, strings.Repeat("x", hawser.MaxEffectID+1)), hawser.ErrInvalid},
		"a control character":      {effect(a, "a\nb"), hawser.ErrInvalid},
		"no UTF-8":                 {effect(a, "a\xff"), hawser.ErrInvalid},
		"no policy":                {policyErr, hawser.ErrInvalid},
		"another input":            {effect(a, "done", client.EffectInput([]byte("2"))), hawser.ErrRequestMismatch},
		"an agent that never was":  {effect(c.Agent("never"), "x"), hawser.ErrNotFound},
		"a deleted agent":          {effect(gone, "x"), hawser.ErrNotFound},
		"no name":                  {effect(c.Agent(""), "x"), hawser.ErrInvalid},
		"no fence":                 {effect(claimed, "x"), hawser.ErrFenced},
		"an old fence":             {effect(claimed, "x", client.WithFence(old)), hawser.ErrFenced},
		"after the release":        {releasedErr, hawser.ErrOwnershipLost},
		"done with another result": {finishErr, hawser.ErrRequestMismatch},
		"a result too large":       {largeErr, hawser.ErrTooLarge},
		"a save, done otherwise":   {save(client.EffectDone("done", []byte("other"))), hawser.ErrRequestMismatch},
		"a save, unknown effect":   {save(client.EffectDone("never begun", nil)), hawser.ErrNotFound},
		"a save, twice":            {save(client.EffectDone("done", nil), client.EffectDone("done", nil)), hawser.ErrInvalid},
		"a save, too large":        {save(client.EffectDone("done", large)), hawser.ErrTooLarge},
		"a save, too many":         {save(many...), hawser.ErrInvalid},
		"a save, failed, no why":   {save(client.EffectFailed("done", "")), hawser.ErrInvalid},
		"resolved what is done":    {resolveErr, hawser.ErrRefused},
		"resolved without reason":  {reasonErr, hawser.ErrInvalid},
		"forgotten up to nothing":  {forgetErr, hawser.ErrInvalid},
		"shown what is not there":  {showErr, hawser.ErrNotFound},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if a.Head() != 1 {
		t.Errorf("one of the saves was made: the head is version %d", a.Head())
	}
}

// Claim: what the helper does with errors: an error leaves the effect open, one
// that is known to have changed nothing records it as failed; concurrent calls of
// one client run it once; a save in parts carries ends and fences as others do.
func TestEffects_Helper(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 1).Client()
	own, err := c.Agent("a").Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	timeout := errors.New("timeout")
	runs := 0
	if _, err := own.Effect(t.Context(), "slow", hawser.OnUnknownAsk, func(context.Context, string) ([]byte, error) { runs++; return nil, timeout }); !errors.Is(err, timeout) {
		t.Fatal(err)
	}
	if _, err := own.Effect(t.Context(), "slow", hawser.OnUnknownAsk, func(context.Context, string) ([]byte, error) { runs++; return nil, nil }); !errors.Is(err, hawser.ErrEffectUnknown) || runs != 1 {
		t.Fatal(runs, err)
	}
	if _, err := c.Agent("a").ResolveEffect(t.Context(), "slow", client.Resolution{State: hawser.EffectRetry, Reason: "r"}); !errors.Is(err, hawser.ErrRefused) {
		t.Fatal(err)
	}
	if _, err := c.Agent("a").ResolveEffect(t.Context(), "slow", client.Resolution{State: hawser.EffectRetry, Reason: "r", Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Effect(t.Context(), "slow", hawser.OnUnknownAsk, func(context.Context, string) ([]byte, error) { runs++; return nil, nil }); err != nil || runs != 2 {
		t.Fatal(runs, err)
	}
	refused := errors.New("no funds")
	for i := range 2 {
		_, err := own.Effect(t.Context(), "refused", hawser.OnUnknownRetry, func(context.Context, string) ([]byte, error) { return nil, client.NotDone(refused) })
		var failed *hawser.FailedEffectError
		if i == 0 && !errors.Is(err, refused) || i == 1 && (!errors.As(err, &failed) || failed.Effect.Reason != "no funds") {
			t.Fatal(i, err)
		}
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	runs = 0
	for range 8 {
		group.Go(func() {
			result, err := own.Effect(context.Background(), "shared", hawser.OnUnknownRetry, func(context.Context, string) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				runs++
				return []byte("once"), nil
			})
			if err != nil || string(result) != "once" {
				t.Errorf("%q %v", result, err)
			}
		})
	}
	group.Wait()
	if runs != 1 {
		t.Errorf("run %d times", runs)
	}
	if _, _, err := own.BeginEffect(t.Context(), "large", hawser.OnUnknownAsk); err != nil {
		t.Fatal(err)
	}
	state := make([]byte, 1<<20)
	_, _ = rand.Read(state)
	v, err := own.Save(t.Context(), state, client.EffectDone("large", []byte("r")))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := c.Agent("a").ShowEffect(t.Context(), "large"); err != nil || e.Version != v.Number || string(e.Result) != "r" {
		t.Errorf("%+v %v", e, err)
	}
	cp, err := own.Restore(t.Context())
	if err != nil || !bytes.Equal(cp.State, state) || len(cp.Effects) != 0 {
		t.Errorf("%+v %v", cp.Effects, err)
	}
}
