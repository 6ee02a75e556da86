// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// turn is the time from one look for work to the next.
	turn = time.Second
	// submitTimeout bounds one command.
	submitTimeout = 5 * time.Second
)

// View is what a Janitor looks at: an *fsm.View.
type View interface {
	Info() fsm.Info
	RetentionStamp() uint64
	PruneScan(after hawser.AgentID, limit int, now time.Time) (items []fsm.Prunable, last hawser.AgentID, more bool, err error)
	AgentsAfter(after hawser.AgentID, limit int) ([]hawser.AgentID, error)
	Agent(id hawser.AgentID) (hawser.Agent, error)
	Rewrites(id hawser.AgentID, before uint64) (list []fsm.Rewrite, next uint64, err error)
	Materialise(id hawser.AgentID, number uint64) (hawser.Version, []byte, error)
	Uploads(limit int) ([]fsm.Upload, error)
	Tombs(before time.Time, limit int) ([]hawser.AgentID, error)
	ExpiredSessions(now time.Time, limit int) ([]fsm.SessionRef, error)
	EventsToTrim(keep uint64, before time.Time) (hawser.Revision, error)
	Close() error
}

// Config configures a [Janitor]. All fields are required.
type Config struct {
	// View returns the newest state.
	View func() (View, error)
	// Garbage lists deleted agents with versions left to reclaim.
	Garbage func(limit int) ([]hawser.AgentID, error)
	// Leads reports whether the node leads and serves.
	Leads func() bool
	// Submit proposes a command.
	Submit func(context.Context, fsm.Command) (fsm.Result, error)
	// Now returns the cluster's clock, which runs on while nobody saves.
	Now func() time.Time
	// Level returns the highest feature level that every member knows, 0 when
	// some member has not told.
	Level  func() uint32
	Logger *slog.Logger
}

// Janitor is a running loop. Make one with [Start].
type Janitor struct {
	cfg    Config
	stop   context.CancelFunc
	done   sync.WaitGroup
	counts counts

	// What follows is the loop's own.

	pace pace
	pass pass
	// rewriting are agents to look at for dead weight, oldest first.
	rewriting []hawser.AgentID
	// walked is the agent that the slow walk over all has come to, walkedAt when
	// one ended last.
	walked   hawser.AgentID
	walkedAt time.Time
	// expired is when uploads and tombs were looked at last.
	expired time.Time
}

// counts counts what was done since the start.
type counts struct{ pruned, rewrites, freed atomic.Int64 }

// Stats are numbers about a Janitor.
type Stats struct {
	// Pruned versions were removed by retention.
	Pruned int64
	// Rewrites is how many segments got a new keyframe, and Freed how many
	// bytes of dead weight went with that.
	Rewrites, Freed int64
}

// Stats returns what was done since the start.
func (j *Janitor) Stats() Stats {
	return Stats{Pruned: j.counts.pruned.Load(), Rewrites: j.counts.rewrites.Load(), Freed: j.counts.freed.Load()}
}

// Start starts a janitor.
func Start(cfg Config) *Janitor {
	ctx, stop := context.WithCancel(context.Background())
	j := &Janitor{cfg: cfg, stop: stop, pace: newPace()}
	j.done.Go(func() { j.run(ctx) })
	return j
}

// Close ends the loop and joins it.
func (j *Janitor) Close() {
	j.stop()
	j.done.Wait()
}

func (j *Janitor) run(ctx context.Context) {
	every(ctx, turn, func() {
		if !j.cfg.Leads() {
			j.pass, j.rewriting = pass{}, nil // another one's work now
			return
		}
		j.raise(ctx)
		j.work(ctx)
	})
}

// every calls f at each tick until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// work does all there is to do, a little of each kind at a time. A kind that
// has nothing to do, or failed, is left until the next turn.
func (j *Janitor) work(ctx context.Context) {
	kinds := []func(context.Context) bool{j.reclaim, j.expire, j.prune, j.rewrite}
	walk := walkAgents
	for len(kinds) > 0 {
		left := kinds[:0]
		for _, step := range kinds {
			if ctx.Err() != nil || !j.cfg.Leads() {
				return
			}
			if step(ctx) {
				left = append(left, step)
			}
		}
		if kinds = left; len(kinds) == 0 && walk > 0 && j.walk(walk) {
			kinds, walk = append(kinds, j.rewrite), 0
		}
	}
}

// view opens a view and closes it after use.
func (j *Janitor) view(use func(View) error) error {
	v, err := j.cfg.View()
	if err != nil {
		return err
	}
	err = use(v)
	if closeErr := v.Close(); err == nil {
		err = closeErr
	}
	return err
}

// raise raises the cluster's feature level to what every member knows.
func (j *Janitor) raise(ctx context.Context) {
	level, have := j.cfg.Level(), uint32(0)
	if err := j.view(func(v View) error { have = v.Info().Level; return nil }); err != nil || level <= have {
		return
	}
	if j.submit(ctx, &fsm.RaiseLevel{Level: level}) {
		j.cfg.Logger.Info("feature level raised", "level", level)
	}
}

// submit proposes a command, waits for as long as the pace wants and reports
// whether it was executed.
func (j *Janitor) submit(ctx context.Context, c fsm.Command) bool {
	_, ok := j.submitAll(ctx, []fsm.Command{c})
	return ok
}

// submitAll proposes commands that go into one entry if they can, and waits
// for as long as the pace wants. It reports whether all were executed.
func (j *Janitor) submitAll(ctx context.Context, commands []fsm.Command) ([]fsm.Result, bool) {
	results := make([]fsm.Result, len(commands))
	start := time.Now()
	var wg sync.WaitGroup
	for i, c := range commands {
		wg.Go(func() { results[i] = j.propose(ctx, c) })
	}
	wg.Wait()
	ok := true
	for _, res := range results {
		if res.Err == nil {
			continue
		}
		ok = false
		// What was refused rested on a state that has changed meanwhile, or on
		// an agent that is not there any more.
		code := hawser.CodeOf(res.Err)
		if ctx.Err() == nil && code != hawser.CodeRefused && code != hawser.CodeNotFound && code.Retry() == hawser.RetryNever {
			j.cfg.Logger.Warn("housekeeping was refused", "error", res.Err)
		}
	}
	return results, rest(ctx, j.pace.took(time.Since(start))) && ok
}

// propose proposes a command. The result's Err is also that of the proposal.
func (j *Janitor) propose(ctx context.Context, c fsm.Command) fsm.Result {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	result, err := j.cfg.Submit(ctx, c)
	if err != nil {
		result.Err = err
	}
	return result
}
