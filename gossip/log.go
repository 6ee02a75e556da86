// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxLines is how many lines of memberlist are logged a second: anybody who
// can send a packet can cause one.
const maxLines = 10

// throttled passes on a bounded number of records a second, as warnings at
// most: nothing in gossip is an error of this node.
type throttled struct {
	slog.Handler
	budget *budget
}

// budget counts records within one second.
type budget struct {
	mu         sync.Mutex
	window     time.Time
	used       int
	suppressed int
}

// take reports whether one more may pass at now, and how many did not in the
// second before.
func (b *budget) take(now time.Time) (ok bool, suppressed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.window) >= time.Second {
		suppressed = b.suppressed
		b.window, b.used, b.suppressed = now, 0, 0
	}
	if b.used >= maxLines {
		b.suppressed++
		return false, 0
	}
	b.used++
	return true, suppressed
}

func newThrottled(h slog.Handler) *throttled { return &throttled{Handler: h, budget: &budget{}} }

// Handle implements slog.Handler.
func (t *throttled) Handle(ctx context.Context, r slog.Record) error {
	ok, suppressed := t.budget.take(r.Time)
	if !ok {
		return nil
	}
	r.Level = min(r.Level, slog.LevelWarn)
	if suppressed > 0 {
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return t.Handler.Handle(ctx, r)
}
