// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

// board is what instances share.
type board struct {
	mu        sync.Mutex
	all       map[string]call.SharedState
	published int
}

func (b *board) Load(target string) call.SharedState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[target]
}

func (b *board) Publish(s call.SharedState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[string]call.SharedState{}
	}
	b.all[s.Target] = s
	b.published++
}

func fails(context.Context) (int, error) { return 0, errBroken }

func works(context.Context) (int, error) { return 1, nil }

func hangs(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// one is a config without repetitions.
func one(c *call.Config) { c.Attempts = 1 }

// breakOpen has a target fail until its breaker is open.
func breakOpen(t *testing.T, p *call.Policy, target string) {
	t.Helper()
	for range 5 {
		if _, err := call.Do(t.Context(), p, target, fails); !errors.Is(err, errBroken) || errors.Is(err, call.ErrOpen) {
			t.Fatal(err)
		}
	}
	if s := stateOf(t, p, target); s != call.Open {
		t.Fatalf("the breaker is %s after five failures", s)
	}
}

func targetOf(t *testing.T, p *call.Policy, name string) call.Target {
	t.Helper()
	for _, target := range p.Targets() {
		if target.Name == name {
			return target
		}
	}
	t.Fatalf("target %q is not known", name)
	return call.Target{}
}

func stateOf(t *testing.T, p *call.Policy, name string) call.State {
	t.Helper()
	return targetOf(t, p, name).State
}

// Claim: a trial decides by what it says of the target: a permanent error closes the
// breaker, a failure opens it again, and one that the caller ends, or that panics,
// decides nothing and lets the next one through.
func TestBreaker_Trial(t *testing.T) {
	for name, c := range map[string]struct {
		f     func(ctx context.Context) (int, error)
		state call.State
	}{
		"well":      {works, call.Closed},
		"permanent": {func(context.Context) (int, error) { return 0, call.Permanent(errBroken) }, call.Closed},
		"broken":    {fails, call.Open},
		"canceled":  {hangs, call.HalfOpen},
		"canceled, and another error": {func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, errBroken
		}, call.HalfOpen},
		"panics": {func(context.Context) (int, error) { panic(errBroken) }, call.HalfOpen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t, one)
				breakOpen(t, p, "model")
				time.Sleep(time.Minute)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				func() {
					defer func() { _ = recover() }()
					_, _ = call.Do(ctx, p, "model", c.f)
				}()
				if s := stateOf(t, p, "model"); s != c.state {
					t.Errorf("the breaker is %s, want %s", s, c.state)
				}
				_, err := call.Do(t.Context(), p, "model", works)
				if refused := errors.Is(err, call.ErrOpen); refused != (c.state == call.Open) {
					t.Errorf("the next call: %v", err)
				}
			})
		})
	}
}

// Claim: while a trial is under way no other attempt is let through.
func TestBreaker_OneTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, one)
		breakOpen(t, p, "model")
		time.Sleep(time.Minute)
		done := make(chan error)
		go func() {
			_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return 0, nil
			})
			done <- err
		}()
		synctest.Wait()
		if _, err := call.Do(t.Context(), p, "model", works); !errors.Is(err, call.ErrOpen) {
			t.Errorf("beside a trial: %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := call.Do(t.Context(), p, "model", works); err != nil {
			t.Errorf("after a trial: %v", err)
		}
	})
}

// Claim: an attempt that began before the breaker has changed does not count: neither
// does its success close a half-open one, nor does its failure count for the next time.
func TestBreaker_OldAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, one, func(c *call.Config) { c.Timeout, c.Failures = time.Hour, 5 })
		var all sync.WaitGroup
		slow := func(d time.Duration, err error) {
			all.Go(func() {
				_, _ = call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
					time.Sleep(d)
					return 0, err
				})
			})
		}
		slow(70*time.Second, nil)
		for range 4 {
			slow(90*time.Second, errBroken)
		}
		synctest.Wait()
		breakOpen(t, p, "model")
		time.Sleep(60 * time.Second)
		slow(20*time.Second, nil) // the trial
		time.Sleep(15 * time.Second)
		if s := stateOf(t, p, "model"); s != call.HalfOpen {
			t.Errorf("after the success of an old attempt the breaker is %s", s)
		}
		time.Sleep(10 * time.Second)
		if s := stateOf(t, p, "model"); s != call.Closed {
			t.Errorf("after the trial the breaker is %s", s)
		}
		all.Wait()
		_, _ = call.Do(t.Context(), p, "model", fails)
		if s := stateOf(t, p, "model"); s != call.Closed {
			t.Errorf("after four old failures and one new the breaker is %s", s)
		}
	})
}

// Claim: callers that end, in an attempt or while they wait for a slot, say nothing
// against a target, nor for it: failures before and after them are still in a row.
func TestBreaker_CallersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, one, func(c *call.Config) { c.Concurrent, c.MaxWait = 1, time.Hour })
		end := func(f func(context.Context) (int, error)) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := call.Do(ctx, p, "model", f); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		for range 10 {
			end(hangs)
		}
		busy := make(chan struct{})
		go func() {
			defer close(busy)
			_, _ = call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
				time.Sleep(20 * time.Second)
				return 0, call.Transient(errBroken)
			})
		}()
		synctest.Wait()
		for range 10 {
			end(works)
		}
		<-busy
		if s := stateOf(t, p, "model"); s != call.Closed {
			t.Fatalf("the breaker is %s", s)
		}
		for range 3 {
			_, _ = call.Do(t.Context(), p, "model", fails)
		}
		end(hangs)
		_, _ = call.Do(t.Context(), p, "model", fails)
		if s := stateOf(t, p, "model"); s != call.Open {
			t.Errorf("after five failures with callers that ended between them the breaker is %s", s)
		}
	})
}

// Claim: a call does not wait for another attempt at a target whose breaker it has
// opened, and says so.
func TestBreaker_EndsRepetitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Failures = 2 })
		begin := time.Now()
		_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) { return 0, call.Transient(errBroken) })
		if took := time.Since(begin); took > 1500*time.Millisecond || !errors.Is(err, call.ErrOpen) || !errors.Is(err, errBroken) {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Claim: without Rate and Failures a breaker does not open; with a Rate it opens though
// the attempt that completes the number has succeeded.
func TestBreaker_Never(t *testing.T) {
	p := policy(t, one, func(c *call.Config) { c.Failures, c.Rate = math.MaxUint, -1 })
	for range 1000 {
		if _, err := call.Do(t.Context(), p, "model", fails); errors.Is(err, call.ErrOpen) {
			t.Fatal(err)
		}
	}
	p = policy(t, one, func(c *call.Config) { c.Failures, c.RateOf = math.MaxUint, 10 })
	for i := range 10 {
		f := fails
		if i >= 5 {
			f = works
		}
		_, _ = call.Do(t.Context(), p, "model", f)
	}
	if s := stateOf(t, p, "model"); s != call.Open {
		t.Errorf("the breaker is %s", s)
	}
}

// Claim: what one instance finds out keeps the others away until its time, without
// their publishing it anew; then one trial decides at each; all of them see it.
func TestShared_Open(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &board{}
		var changes []string
		a := policy(t, one, func(c *call.Config) { c.Shared = shared })
		b := policy(t, one, func(c *call.Config) {
			c.Shared, c.OpenFor = shared, time.Hour
			c.OnChange = func(ch call.Change) { changes = append(changes, fmt.Sprintf("%s %s", ch.From, ch.To)) }
		})
		breakOpen(t, a, "model")
		published := shared.Load("model")
		if want := (call.SharedState{Target: "model", State: call.Open, Until: time.Now().Add(time.Minute)}); published != want {
			t.Errorf("published %v, want %v", published, want)
		}
		time.Sleep(30 * time.Second)
		if _, err := call.Do(t.Context(), b, "model", works); !errors.Is(err, call.ErrOpen) {
			t.Errorf("the other instance: %v", err)
		}
		if got := targetOf(t, b, "model"); got.State != call.Open || !got.Until.Equal(published.Until) {
			t.Errorf("the other instance: %s until %v", got.State, got.Until)
		}
		if shared.published != 1 {
			t.Errorf("the other instance has published %v", shared.Load("model"))
		}
		time.Sleep(30 * time.Second)
		trial := make(chan error)
		go func() {
			_, err := call.Do(t.Context(), b, "model", func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return 0, nil
			})
			trial <- err
		}()
		synctest.Wait()
		if _, err := call.Do(t.Context(), b, "model", works); !errors.Is(err, call.ErrOpen) {
			t.Errorf("beside the trial of the other instance: %v", err)
		}
		if err := <-trial; err != nil {
			t.Errorf("the trial of the other instance: %v", err)
		}
		if _, err := call.Do(t.Context(), b, "model", works); err != nil {
			t.Errorf("after its trial: %v", err)
		}
		if want := (call.SharedState{Target: "model", State: call.Closed}); shared.Load("model") != want {
			t.Errorf("published %v, want %v", shared.Load("model"), want)
		}
		if want := []string{"closed open", "open half-open", "half-open closed"}; !slices.Equal(changes, want) {
			t.Errorf("changes %q", changes)
		}
	})
}

// Claim: what others publish as Closed ends what they have opened, before its time too,
// and not what this instance has found out itself.
func TestShared_Closed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &board{}
		p := policy(t, one, func(c *call.Config) { c.Shared = shared })
		shared.Publish(call.SharedState{Target: "model", State: call.Open, Until: time.Now().Add(time.Hour)})
		if _, err := call.Do(t.Context(), p, "model", works); !errors.Is(err, call.ErrOpen) {
			t.Fatal(err)
		}
		shared.Publish(call.SharedState{Target: "model", State: call.Closed})
		for range 2 {
			if _, err := call.Do(t.Context(), p, "model", works); err != nil {
				t.Errorf("closed by the others: %v", err)
			}
		}
		breakOpen(t, p, "model")
		shared.Publish(call.SharedState{Target: "model", State: call.Closed})
		if _, err := call.Do(t.Context(), p, "model", works); !errors.Is(err, call.ErrOpen) {
			t.Errorf("opened here, closed by the others: %v", err)
		}
	})
}

// Claim: two instances that have both opened do not keep each other open: when the
// target is well again each is through with its first call after its time.
func TestShared_NotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &board{}
		var both []*call.Policy
		for range 2 {
			both = append(both, policy(t, one, func(c *call.Config) { c.Shared = shared }))
		}
		breakOpen(t, both[0], "model")
		for round := range 3 {
			time.Sleep(time.Minute)
			for i, p := range both {
				_, err := call.Do(t.Context(), p, "model", fails)
				if refused := errors.Is(err, call.ErrOpen); refused != (i == 1) {
					t.Errorf("round %d, instance %d: %v", round, i, err)
				}
			}
			slices.Reverse(both)
		}
		time.Sleep(time.Minute)
		for i, p := range both {
			if _, err := call.Do(t.Context(), p, "model", works); err != nil || stateOf(t, p, "model") != call.Closed {
				t.Errorf("instance %d: %v, %s", i, err, stateOf(t, p, "model"))
			}
		}
	})
}

// Claim: callbacks may call the policy, and are told of changes one after the other.
func TestOnChange_MayCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *call.Policy
		var changes []call.State
		p = policy(t, one, func(c *call.Config) {
			c.OnChange = func(ch call.Change) {
				if len(changes) > 0 && changes[len(changes)-1] != ch.From {
					t.Errorf("from %s after %s", ch.From, changes)
				}
				changes = append(changes, ch.To)
				if len(p.Targets()) != 1 {
					t.Error("no target")
				}
				if ch.To == call.HalfOpen {
					_, _ = call.Do(t.Context(), p, "model", works)
				}
			}
		})
		breakOpen(t, p, "model")
		time.Sleep(time.Minute)
		if _, err := call.Do(t.Context(), p, "model", works); err != nil {
			t.Error(err)
		}
		if want := []call.State{call.Open, call.HalfOpen, call.Closed}; !slices.Equal(changes, want) {
			t.Errorf("changes %q", changes)
		}
	})
}
