// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"sync"
	"time"
)

// burst is for how long a limiter that was idle lets everything pass.
const burst = 50 * time.Millisecond

// limiter holds bytes to a rate. It is safe for concurrent use.
type limiter struct {
	rate int64 // bytes per second

	mu   sync.Mutex
	next time.Time // when what was let pass will be paid for
}

func newLimiter(bytesPerSecond int64) *limiter { return &limiter{rate: bytesPerSecond} }

// wait returns when n more bytes may pass, or with ctx's error; they count then
// too.
func (l *limiter) wait(ctx context.Context, n int) error {
	l.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-burst); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	delay := l.next.Sub(now)
	l.mu.Unlock()
	if delay <= 0 {
		return ctx.Err()
	}
	return sleep(ctx, delay)
}

// sleep waits for d, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
