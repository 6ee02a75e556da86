// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Claim: the bytes of all who share a Throttle pass at its rate, but for a
// burst at first; what was idle saves up no more than another burst.
func TestThrottle_Rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := New(1000)
		for range 2 {
			start := time.Now()
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for range 100 {
						if err := throttle.Wait(t.Context(), 10); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if took, want := time.Since(start), 4*time.Second-burst; took != want {
				t.Errorf("took %s, want %s", took, want)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Claim: who waits leaves with the cause when the context ends, at once when it
// has ended before, also where there is nothing to wait for.
func TestThrottle_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := New(1)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		time.AfterFunc(time.Second, func() { cancel(gone) })
		start := time.Now()
		if err := throttle.Wait(ctx, 1000); !errors.Is(err, gone) || time.Since(start) != time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if err := throttle.Wait(ctx, 0); !errors.Is(err, gone) {
			t.Error(err)
		}
		if err := New(1000).Wait(ctx, 0); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}
