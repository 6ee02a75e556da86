// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"context"
	"sync"
	"time"
)

// burst is for how long a Throttle that was idle lets everything pass.
const burst = 50 * time.Millisecond

// Throttle holds bytes to a rate. Make one with [New]. It is safe for
// concurrent use.
type Throttle struct {
	rate int64 // bytes per second

	mu   sync.Mutex
	next time.Time // when what was let pass will be paid for
}

// New returns a Throttle for a rate above 0.
func New(bytesPerSecond int64) *Throttle { return &Throttle{rate: bytesPerSecond} }

// Wait returns when n more bytes may pass, or with ctx's cause; they count then
// too.
func (t *Throttle) Wait(ctx context.Context, n int64) error {
	t.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-burst); t.next.Before(earliest) {
		t.next = earliest
	}
	t.next = t.next.Add(time.Duration(float64(n) / float64(t.rate) * float64(time.Second)))
	delay := t.next.Sub(now)
	t.mu.Unlock()
	return Sleep(ctx, delay)
}

// Sleep waits for d, or returns ctx's cause.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
