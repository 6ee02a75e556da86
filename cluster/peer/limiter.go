// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// limiter writes at most one line an interval and counts the others.
type limiter struct {
	log      *slog.Logger
	interval time.Duration

	mu         sync.Mutex
	next       time.Time
	suppressed int
}

func newLimiter(log *slog.Logger, interval time.Duration) *limiter {
	return &limiter{log: log, interval: interval}
}

// warn logs who was refused and why, with how many went unlogged before.
func (l *limiter) warn(ctx context.Context, remote, reason string) {
	now := time.Now()
	l.mu.Lock()
	if now.Before(l.next) {
		l.suppressed++
		l.mu.Unlock()
		return
	}
	suppressed := l.suppressed
	l.suppressed, l.next = 0, now.Add(l.interval)
	l.mu.Unlock()
	l.log.WarnContext(ctx, "peer connection refused", "remote", remote, "reason", reason, "suppressed", suppressed)
}
