// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/call"
)

// Claim: what makes no sense, or would make the library panic, is refused, and all of
// it is named.
func TestNew_Refuses(t *testing.T) {
	for name, cfg := range map[string]call.Config{
		"Attempts": {Attempts: -1}, "Delay": {Delay: -1}, "MaxDelay": {Delay: time.Hour}, "Factor": {Factor: 0.5}, "Timeout": {Timeout: -1},
		"Rate": {Rate: 2}, "RatePeriod": {RatePeriod: 5}, "OpenFor": {OpenFor: -1}, "Concurrent": {Concurrent: math.MaxUint}, "PerSecond": {PerSecond: 2e9},
		"Hedge": {Hedge: -1}, "RetryShare": {RetryShare: math.Inf(1)}, "MaxTargets": {MaxTargets: -1},
	} {
		if _, err := call.New(cfg); !errors.Is(err, hawser.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nan := math.NaN()
	_, err := call.New(call.Config{Factor: nan, Rate: nan, RetryShare: nan})
	if !errors.Is(err, hawser.ErrInvalid) {
		t.Fatalf("not a number: %v", err)
	}
	for _, name := range []string{"Factor", "Rate", "RetryShare"} {
		if !strings.Contains(err.Error(), name+" is NaN") {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

// Claim: what is just allowed works.
func TestNew_Edges(t *testing.T) {
	for name, cfg := range map[string]call.Config{
		"least": {
			Attempts: 1, Delay: 1, MaxDelay: 1, Factor: 1, Timeout: time.Hour, Failures: 1, Rate: math.SmallestNonzeroFloat64, RateOf: 1, RatePeriod: time.Millisecond,
			OpenFor: 1, Concurrent: 1, PerSecond: 1, MaxWait: math.MinInt64, Hedge: 1, RetryShare: math.SmallestNonzeroFloat64, MaxTargets: 2,
		},
		"most": {
			Attempts: 50, Delay: math.MaxInt64, MaxDelay: math.MaxInt64, Factor: math.Inf(1), Timeout: math.MaxInt64, Failures: math.MaxUint, Rate: 1, RateOf: math.MaxUint,
			RatePeriod: math.MaxInt64, OpenFor: math.MaxInt64, Concurrent: call.MaxConcurrent, PerSecond: 1e9, MaxWait: math.MaxInt64, Hedge: math.MaxInt64,
			RetryShare: 49, MaxTargets: math.MaxInt,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t, func(c *call.Config) { *c = cfg })
				if got, err := call.Do(t.Context(), p, "model", works, call.Idempotent()); got != 1 || err != nil {
					t.Errorf("%d, %v", got, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := call.Do(ctx, p, "other", func(context.Context) (int, error) { return 0, call.Transient(errBroken) }, call.Idempotent()); !errors.Is(err, errBroken) {
					t.Error(err)
				}
			})
		})
	}
}

// Claim: a negative RetryShare is no repetition at all, Attempts-1 is no bound, and a
// negative MaxWait does not wait.
func TestConfig_SwitchedOff(t *testing.T) {
	for share, want := range map[float64]int{-1: 100, 4: 500} {
		synctest.Test(t, func(t *testing.T) {
			p := policy(t, func(c *call.Config) { c.RetryShare, c.Failures, c.Rate = share, math.MaxUint, -1 })
			calls := 0
			for range 100 {
				_, _ = call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
					calls++
					return 0, call.Transient(errBroken)
				})
			}
			if calls != want {
				t.Errorf("a share of %v: %d attempts of 100 calls, want %d", share, calls, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Concurrent, c.MaxWait, c.Timeout = 1, -1, time.Second })
		go func() { _, _ = call.Do(t.Context(), p, "model", hangs) }()
		synctest.Wait()
		begin := time.Now()
		if _, err := call.Do(t.Context(), p, "model", works); !errors.Is(err, call.ErrFull) || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		time.Sleep(time.Minute)
	})
}

// Claim: what is remembered is bounded; the one that was called longest ago is forgotten.
func TestPolicy_ForgetsTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.MaxTargets = 10 })
		for i := range 100 {
			for _, name := range []string{"often", fmt.Sprint(i)} {
				if _, err := call.Do(t.Context(), p, name, works); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
		}
		if n := len(p.Targets()); n != 10 || targetOf(t, p, "often").Calls != 100 || targetOf(t, p, "99").Calls != 1 {
			t.Errorf("%d targets", n)
		}
	})
}

// Claim: an open breaker is not forgotten before its time, nor is the target of a call
// that is under way, in a pause too, or of a hedged attempt that outlives its call: when
// there is nothing else to forget, other targets are refused.
func TestPolicy_DoesNotForgetBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, one, hedged, func(c *call.Config) { c.MaxTargets, c.Concurrent, c.MaxWait = 2, 1, -1 })
		breakOpen(t, p, "broken")
		time.Sleep(time.Second)
		var all sync.WaitGroup
		all.Go(func() { _, _ = call.Do(t.Context(), p, "busy", hangs) })
		synctest.Wait()
		if _, err := call.Do(t.Context(), p, "third", works); !errors.Is(err, call.ErrFull) {
			t.Errorf("nothing can be forgotten: %v", err)
		}
		if _, err := call.Do(t.Context(), p, "broken", works); !errors.Is(err, call.ErrOpen) {
			t.Errorf("a breaker was forgotten: %v", err)
		}
		if _, err := call.Do(t.Context(), p, "busy", works); !errors.Is(err, call.ErrFull) {
			t.Errorf("slots were forgotten: %v", err)
		}
		all.Wait()
		if _, err := call.Do(t.Context(), p, "third", works); err != nil {
			t.Errorf("another one can be forgotten: %v", err)
		}
		if _, err := call.Do(t.Context(), p, "broken", works); !errors.Is(err, call.ErrOpen) {
			t.Errorf("a breaker was forgotten: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := call.Do(t.Context(), p, "fourth", works); err != nil {
			t.Errorf("the breaker's time is over: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.MaxTargets = 1 })
		paused := make(chan struct{})
		go func() {
			defer close(paused)
			_, _ = call.Do(t.Context(), p, "model", func(context.Context) (int, error) { return 0, call.Transient(errBroken) })
		}()
		synctest.Wait()
		if _, err := call.Do(t.Context(), p, "other", works); !errors.Is(err, call.ErrFull) {
			t.Errorf("beside a call in a pause: %v", err)
		}
		<-paused
	})
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, hedged, func(c *call.Config) { c.MaxTargets = 1 })
		f, _ := slowly(time.Second, nil, works)
		_, err := call.Do(t.Context(), p, "model", func(ctx context.Context) (int, error) { return f(context.WithoutCancel(ctx)) }, call.Idempotent())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Do(t.Context(), p, "other", works); !errors.Is(err, call.ErrFull) {
			t.Errorf("beside an attempt that outlives its call: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := call.Do(t.Context(), p, "other", works); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}
