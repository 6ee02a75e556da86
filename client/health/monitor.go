// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
)

const (
	// maxChecks is how many checks a monitor runs at most.
	maxChecks = 64
	// windowTurns is how many intervals of a check its window has by default.
	windowTurns = 30
	// closeGrace is how long Close waits for checks that do not heed their context.
	closeGrace = 5 * time.Second
	// progressName is that of the progress beside the checks.
	progressName = "progress"
)

// Config says what is watched.
type Config struct {
	// Checks are run, 64 at most; none is for one that watches progress alone.
	Checks []Check
	// Progress is how long there may be no [Monitor.Step], waits left out; 0 is for ever.
	Progress time.Duration
}

// withDefaults returns the configuration with its defaults, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	c.Checks = slices.Clone(c.Checks)
	bad := ""
	if len(c.Checks) > maxChecks || c.Progress < 0 {
		bad = fmt.Sprintf("%d checks, %d are possible; a limit of %v for progress", len(c.Checks), maxChecks, c.Progress)
	}
	names := map[string]bool{progressName: true}
	for i := range c.Checks {
		check := &c.Checks[i]
		orDefault(&check.Interval, 10*time.Second)
		orDefault(&check.Timeout, 10*time.Second)
		orDefault(&check.Limits.Window, windowTurns*check.Interval)
		if check.Name == "" || names[check.Name] || check.Run == nil || check.Interval < 0 || check.Timeout < 0 || check.Limits.Progress != 0 {
			bad = fmt.Sprintf("check %d, %q: it needs a name of its own, something to run, times that are not negative, and no limit for progress", i+1, check.Name)
		}
		names[check.Name] = true
	}
	if bad != "" {
		return c, &hawser.Error{Code: hawser.CodeInvalid, Op: "health monitor", Msg: bad}
	}
	return c, nil
}

// Monitor runs checks. It is safe for concurrent use.
type Monitor struct {
	stop    context.CancelFunc
	loops   sync.WaitGroup // of the watchers
	calls   sync.WaitGroup // of checks that run
	closing sync.Once
	closed  error

	// What follows is set before a goroutine is started, and stays.
	watchers []*watcher
	progress *Judge // nil if it has no limit

	mu    sync.Mutex // guards what the judges hold, and what follows
	steps uint64
}

// Start begins to run checks, each at once and then by its interval. The caller must
// call Close. Errors match hawser.ErrInvalid.
func Start(cfg Config) (*Monitor, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Monitor{}
	for _, check := range cfg.Checks {
		judge, err := NewJudge(check.Limits)
		if err != nil {
			return nil, fmt.Errorf("check %q: %w", check.Name, err)
		}
		m.watchers = append(m.watchers, &watcher{Check: check, monitor: m, judge: judge})
	}
	if cfg.Progress > 0 {
		if m.progress, err = NewJudge(Limits{Progress: cfg.Progress}); err != nil {
			return nil, err
		}
		m.progress.Step(time.Now(), 0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	for _, w := range m.watchers {
		m.loops.Go(func() { w.loop(ctx) })
	}
	return m, nil
}

// Step notes that the agent has done a step.
func (m *Monitor) Step() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.steps++; m.progress != nil {
		m.progress.Step(time.Now(), m.steps)
	}
}

// Wait notes that the agent waits for something, so that no step is to be expected
// until the function that it returns is called. That may be called more than once.
// Waits may overlap.
func (m *Monitor) Wait() (resume func()) {
	if m.progress == nil {
		return func() {}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.Wait(time.Now())
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.progress.Resume(time.Now())
	})
}

// Close ends all checks and waits for them. It returns an error that names those that
// still run 5 s after their context has ended; they are left to themselves, and what
// they come to is not noted. It may be called more than once.
func (m *Monitor) Close() error {
	m.closing.Do(func() {
		m.stop()
		m.loops.Wait()
		done := make(chan struct{})
		go func() { // which ends with the last call
			defer close(done)
			m.calls.Wait()
		}()
		timer := time.NewTimer(closeGrace)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
			m.closed = m.left()
		}
	})
	return m.closed
}

// left says which checks still run. The watchers have ended.
func (m *Monitor) left() error {
	var names []string
	for _, w := range m.watchers {
		if w.run != nil && !w.run.over() {
			names = append(names, w.Name)
		}
	}
	if names == nil {
		return nil
	}
	return &hawser.Error{Code: hawser.CodeDeadline, Op: "close health monitor", Key: strings.Join(names, ", "), Msg: "still runs, and does not heed its context"}
}
