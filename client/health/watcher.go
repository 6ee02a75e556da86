// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// maxProblem is how long the text of a problem may be, in bytes.
const maxProblem = 512

// watcher runs one check by turns.
type watcher struct {
	Check

	monitor *Monitor
	judge   *Judge // guarded by the monitor's mutex

	// run is the one under way, or the one that hangs; nil for none. It belongs to the
	// loop, and to whoever has waited for that to end.
	run *run
}

// run is one call of a check.
type run struct {
	began time.Time
	done  chan struct{}
	err   error // once done is closed
}

func (r *run) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// loop ends with ctx, whatever the check does.
func (w *watcher) loop(ctx context.Context) {
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil { // also if a turn is due
		w.turn(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// turn runs the check once, unless it still runs, and notes what comes of it. What a
// check says after its time is not asked for.
func (w *watcher) turn(ctx context.Context) {
	if w.run == nil || w.run.over() {
		w.begin(ctx)
		timer := time.NewTimer(w.Timeout)
		defer timer.Stop()
		select {
		case <-w.run.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return // what was ended is no result
	}
	now := time.Now()
	r := Result{At: now, Took: now.Sub(w.run.began)}
	switch {
	case r.Took >= w.Timeout || !w.run.over():
		r.Problem = fmt.Sprintf("has not returned within %v", w.Timeout)
	case w.run.err != nil:
		r.Problem = bounded(w.run.err.Error())
	}
	w.monitor.mu.Lock()
	defer w.monitor.mu.Unlock()
	w.judge.Note(r)
}

// begin calls the check, by a goroutine that ends with it.
func (w *watcher) begin(ctx context.Context) {
	r := &run{began: time.Now(), done: make(chan struct{})}
	w.run = r
	w.monitor.calls.Go(func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeout(ctx, w.Timeout)
		defer cancel()
		defer func() {
			if p := recover(); p != nil { // a check is to find failures, not to be one
				r.err = fmt.Errorf("panic: %v", p)
			}
		}()
		r.err = w.Run(ctx)
	})
}

// bounded returns a text that is not too long. An error that says nothing is one all
// the same.
func bounded(text string) string {
	if text == "" {
		return "failed"
	}
	if len(text) > maxProblem {
		text = text[:maxProblem]
	}
	return strings.ToValidUTF8(text, "")
}
