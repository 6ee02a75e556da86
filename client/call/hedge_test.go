// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

func hedged(c *call.Config) { c.Hedge = 100 * time.Millisecond }

// slowly returns an f whose first attempt ends after d with err; others begin at once
// what next does.
func slowly(d time.Duration, err error, next func(ctx context.Context) (int, error)) (f func(ctx context.Context) (int, error), calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(ctx context.Context) (int, error) {
		if calls.Add(1) > 1 {
			return next(ctx)
		}
		select {
		case <-time.After(d):
			return 1, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}, calls
}

// Claim: a hedge that is refused (by the budget, the bulkhead or the rate limit) or fails
// does not win over the first attempt, which is under way.
func TestHedge_DoesNotWinByFailing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*call.Config)
		next   func(context.Context) (int, error)
		calls  int64
	}{
		"the budget":      {func(c *call.Config) { c.RetryShare = -1 }, works, 1},
		"the bulkhead":    {func(c *call.Config) { c.Concurrent, c.MaxWait = 1, -1 }, works, 1},
		"the rate":        {func(c *call.Config) { c.PerSecond, c.MaxWait = 1, -1 }, works, 1},
		"it fails":        {func(*call.Config) {}, fails, 2},
		"it is permanent": {func(*call.Config) {}, func(context.Context) (int, error) { return 0, call.Permanent(errBroken) }, 2},
		"with a breaker":  {func(c *call.Config) { c.Failures = 1 }, fails, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t, hedged, c.change)
				f, calls := slowly(time.Second, nil, c.next)
				begin := time.Now()
				got, err := call.Do(t.Context(), p, "model", f, call.Idempotent())
				if err != nil || got != 1 || time.Since(begin) != time.Second || calls.Load() != c.calls {
					t.Errorf("%d, %v after %v and %d calls", got, err, time.Since(begin), calls.Load())
				}
			})
		})
	}
}

// Claim: an attempt that has failed before its hedge ends the round at once: what is
// permanent is not made a second time, what is worth it is after the pause.
func TestHedge_NotAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, hedged)
		f, calls := slowly(10*time.Millisecond, call.Permanent(errBroken), works)
		begin := time.Now()
		_, err := call.Do(t.Context(), p, "model", f, call.Idempotent())
		if !errors.Is(err, errBroken) || calls.Load() != 1 || time.Since(begin) != 10*time.Millisecond {
			t.Errorf("permanent: %v after %v and %d calls", err, time.Since(begin), calls.Load())
		}
		f, calls = slowly(10*time.Millisecond, errBroken, works)
		begin = time.Now()
		_, err = call.Do(t.Context(), p, "model", f, call.Idempotent())
		if err != nil || calls.Load() != 2 || time.Since(begin) != 1010*time.Millisecond {
			t.Errorf("unknown: %v after %v and %d calls", err, time.Since(begin), calls.Load())
		}
	})
}

// Claim: the attempt that was slower is ended, says nothing of the target, and its hedge
// is a repetition.
func TestHedge_TheSlowerOneIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, hedged)
		for range 10 {
			f, _ := slowly(time.Minute, nil, works)
			if _, err := call.Do(t.Context(), p, "model", f, call.Idempotent()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		got := targetOf(t, p, "model")
		if got.State != call.Closed || got.Attempts != 20 || got.Repeats != 10 || got.Failed != 0 || got.UnderWay != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Claim: a panic of a hedged attempt, in a goroutine that the caller did not start, is
// that of Do, and tells where; slots are given back.
func TestHedge_Panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, hedged, func(c *call.Config) { c.Concurrent, c.MaxWait = 2, -1 })
		for range 3 {
			f, _ := slowly(time.Second, nil, func(context.Context) (int, error) { panic(errBroken) })
			func() {
				defer func() {
					err, ok := recover().(error)
					if !ok || !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "TestHedge_Panics") {
						t.Errorf("recovered %v", err)
					}
				}()
				_, _ = call.Do(t.Context(), p, "model", f, call.Idempotent())
			}()
			synctest.Wait()
		}
		if _, err := call.Do(t.Context(), p, "model", works); err != nil {
			t.Error(err)
		}
	})
}
