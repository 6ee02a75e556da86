// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// jitter returns d, give or take a quarter.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }

// sleep waits for d, and reports whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reporter logs what something waits for, at most once per interval and at
// once when it changed.
type reporter struct {
	logger *slog.Logger
	every  time.Duration
	what   string
	last   string
	at     time.Time
}

func newReporter(logger *slog.Logger, every time.Duration, what string) *reporter {
	return &reporter{logger: logger, every: every, what: what}
}

func (r *reporter) say(waiting string) {
	changed := waiting != r.last && time.Since(r.at) >= time.Second
	if waiting == "" || !r.at.IsZero() && !changed && time.Since(r.at) < r.every {
		return
	}
	r.last, r.at = waiting, time.Now()
	r.logger.Info("membership waits", "what", r.what, "for", waiting)
}
