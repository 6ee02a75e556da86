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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

var errBroken = errors.New("broken")

func policy(t *testing.T, change ...func(*call.Config)) *call.Policy {
	t.Helper()
	var cfg call.Config
	for _, c := range change {
		c(&cfg)
	}
	p, err := call.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Claim: what is permanent is not tried again, what is transient is, with pauses that
// double and are jittered, what is unknown is only if it may happen twice, with plain
// pauses; the error keeps the cause, and says how often it was tried.
func TestDo_TriesAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		opts   []call.Option
		pauses []time.Duration // plain ones
		jitter bool
	}{
		"permanent":          {err: call.Permanent(errBroken)},
		"unknown":            {err: errBroken},
		"unknown, but twice": {err: call.Unknown(errBroken), opts: []call.Option{call.Idempotent()}, pauses: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second}},
		"transient":          {err: call.Transient(errBroken), pauses: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second}, jitter: true},
		"asked to wait":      {err: call.TransientAfter(errBroken, 3*time.Second), pauses: []time.Duration{3 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second}, jitter: true},
		"asked for too long": {err: call.TransientAfter(errBroken, time.Hour), pauses: slices.Repeat([]time.Duration{5 * time.Second}, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t, func(c *call.Config) { c.MaxDelay, c.Failures = 5*time.Second, 100 })
				var at []time.Time
				_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
					at = append(at, time.Now())
					return 0, c.err
				}, c.opts...)
				var failed *call.Error
				if !errors.Is(err, errBroken) || !errors.As(err, &failed) || failed.Attempts != len(c.pauses)+1 || failed.Target != "model" {
					t.Fatalf("%d attempts, %v", len(at), err)
				}
				for i, want := range c.pauses {
					got := at[i+1].Sub(at[i])
					low, high := want, want
					if c.jitter {
						low, high = want*3/4, min(want*5/4, 5*time.Second)
					}
					if got < low-time.Millisecond || got > high+time.Millisecond {
						t.Errorf("pause %d is %v, want %v to %v", i, got, low, high)
					}
				}
			})
		})
	}
}

// Claim: a target that fails five times in a row is left alone for a minute; then one
// attempt decides. Others are not concerned. Each change is told, and shared.
func TestDo_Breaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &board{}
		var changes []string
		p := policy(t, func(c *call.Config) {
			c.Shared, c.Attempts = shared, 1
			c.OnChange = func(ch call.Change) { changes = append(changes, fmt.Sprintf("%s %s", ch.Target, ch.To)) }
		})
		other := policy(t, func(c *call.Config) { c.Shared = shared })
		bad, calls := true, 0
		do := func(p *call.Policy, target string) error {
			_, err := call.Do(t.Context(), p, target, func(context.Context) (string, error) {
				if calls++; bad && target == "model" {
					return "", errBroken
				}
				return "fine", nil
			})
			return err
		}
		for range 5 {
			if err := do(p, "model"); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
		}
		if err := do(p, "model"); !errors.Is(err, call.ErrOpen) || calls != 5 {
			t.Errorf("after five failures: %v, %d calls", err, calls)
		}
		if err := do(other, "model"); !errors.Is(err, call.ErrOpen) || calls != 5 {
			t.Errorf("by another instance: %v, %d calls", err, calls)
		}
		if err := do(p, "tool"); err != nil {
			t.Errorf("another target: %v", err)
		}
		time.Sleep(time.Minute)
		if err := do(p, "model"); !errors.Is(err, errBroken) {
			t.Errorf("a trial: %v", err)
		}
		if err := do(p, "model"); !errors.Is(err, call.ErrOpen) {
			t.Errorf("after a trial that failed: %v", err)
		}
		time.Sleep(time.Minute)
		bad = false
		if err := do(p, "model"); err != nil {
			t.Errorf("a trial that succeeds: %v", err)
		}
		want := []string{"model open", "model half-open", "model open", "model half-open", "model closed"}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %q", changes)
		}
		list := p.Targets()
		if len(list) != 2 || list[0].Name != "model" || list[0].State != call.Closed || list[0].Calls != 9 || list[0].Failed != 8 || list[0].Refused != 2 {
			t.Errorf("targets %+v", list)
		}
	})
}

// Claim: half of many attempts that fail open a breaker too, though never five in a
// row do; what is permanent says nothing against a target.
func TestDo_BreakerByRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Attempts = 1 })
		opened := 0
		for i := range 40 {
			_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
				if i%2 == 0 {
					return 0, errBroken
				}
				return 0, nil
			})
			if errors.Is(err, call.ErrOpen) {
				opened++
			}
			_, err = call.Do(t.Context(), p, "picky", func(context.Context) (int, error) { return 0, call.Permanent(errBroken) })
			if !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
		}
		if opened < 15 {
			t.Errorf("refused %d times", opened)
		}
	})
}

// Claim: an attempt that takes too long ends, and counts as unknown; the caller's own
// end is told at once, and says nothing against the target.
func TestDo_Time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Timeout = time.Second })
		hangs := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		begin := time.Now()
		_, err := call.Do(t.Context(), p, "model", hangs)
		if took := time.Since(begin); !errors.Is(err, call.ErrTimeout) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := call.Do(ctx, p, "other", hangs, call.Idempotent())
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller's time is over: %v", err)
			}
			cancel()
		}
		for _, target := range p.Targets() {
			if target.Name == "other" && target.State != call.Closed {
				t.Errorf("the breaker of the other is %s", target.State)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		begin = time.Now()
		_, err = call.Do(ctx, p, "third", func(context.Context) (int, error) { return 0, call.Transient(errBroken) })
		if took := time.Since(begin); !errors.Is(err, context.Canceled) || took > 1500*time.Millisecond {
			t.Errorf("cancelled in a pause: %v after %v", err, took)
		}
	})
}

// Claim: no more attempts of a target are under way than may be, none waits longer for
// that than it may, and others are not concerned.
func TestDo_Bulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Concurrent, c.MaxWait = 3, time.Second })
		var under, most, full atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
					n := under.Add(1)
					defer under.Add(-1)
					for {
						m := most.Load()
						if n <= m || most.CompareAndSwap(m, n) {
							break
						}
					}
					time.Sleep(700 * time.Millisecond)
					return 0, nil
				})
				if errors.Is(err, call.ErrFull) {
					full.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most.Load() != 3 || full.Load() != 2 {
			t.Errorf("%d at a time, %d refused", most.Load(), full.Load())
		}
	})
}

// Claim: a call that may happen twice and takes long is made a second time beside the
// first, and the first answer counts; one that must not is made once.
func TestDo_Hedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Hedge = 100 * time.Millisecond })
		for _, twice := range []bool{true, false} {
			var calls atomic.Int64
			f := func(ctx context.Context) (int64, error) {
				n := calls.Add(1)
				if n == 1 {
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
					}
				}
				return n, ctx.Err()
			}
			var opts []call.Option
			want, took := int64(1), time.Second
			if twice {
				opts, want, took = []call.Option{call.Idempotent()}, 2, 100*time.Millisecond
			}
			begin := time.Now()
			got, err := call.Do(t.Context(), p, "model", f, opts...)
			if err != nil || got != want || time.Since(begin) != took {
				t.Errorf("twice %t: call %d answered after %v, %v", twice, got, time.Since(begin), err)
			}
			synctest.Wait()
		}
	})
}

// Claim: when everything fails, repetitions are few beside the calls.
func TestDo_RetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Failures, c.Rate, c.Concurrent = math.MaxUint, -1, 1000 })
		var attempts, spent atomic.Int64
		var all sync.WaitGroup
		const calls = 500
		for range calls {
			all.Go(func() {
				_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
					attempts.Add(1)
					time.Sleep(100 * time.Millisecond)
					return 0, call.Transient(errBroken)
				})
				if errors.Is(err, call.ErrBudget) {
					spent.Add(1)
				}
			})
		}
		all.Wait()
		if n := attempts.Load(); n > calls*3/2 || spent.Load() == 0 {
			t.Errorf("%d attempts of %d calls, %d of which the budget ended", n, calls, spent.Load())
		}
	})
}

// Claim: a fallback answers for a call that has failed, and not for a caller that has
// ended.
func TestDoOr(t *testing.T) {
	p := policy(t, func(c *call.Config) { c.Attempts = 1 })
	fails := func(context.Context) (string, error) { return "", errBroken }
	fallback := func(_ context.Context, err error) (string, error) { return "cached", nil }
	if got, err := call.DoOr(t.Context(), p, "model", fails, fallback); got != "cached" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := call.DoOr(ctx, p, "model", fails, fallback); !errors.Is(err, context.Canceled) {
		t.Errorf("%q, %v", got, err)
	}
}
