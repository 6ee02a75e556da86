// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// sweepEvery is how often a sweeper looks for transactions past their deadline.
// What it nudges was aborted in truth by the clock, and is told then.
const sweepEvery = 100 * time.Millisecond

// fullSweep is how many looks lie between two at everything that is due. The
// others begin where the one before found nothing more: up to there lie the
// traces of what was removed, which the engine passes over one by one.
const fullSweep = 10

// SweepView is what a Sweeper looks at: an *fsm.View.
type SweepView interface {
	DueTxns(from, now time.Time) ([]hawser.TxnID, error)
	Close() error
}

// SweeperConfig configures a [Sweeper]. All fields are required, and are as in
// [Config].
type SweeperConfig struct {
	View   func() (SweepView, error)
	Leads  func() bool
	Submit func(context.Context, fsm.Command) (fsm.Result, error)
	Now    func() time.Time
	Logger *slog.Logger
}

// Sweeper proposes the end of transactions that are past their deadline, and
// the removal of those that are over. Make one with [StartSweeper].
type Sweeper struct {
	cfg  SweeperConfig
	stop context.CancelFunc
	done sync.WaitGroup

	// What follows is the loop's own: looks counts them, and before swept nothing
	// was due.
	looks int
	swept time.Time
}

// StartSweeper starts a sweeper.
func StartSweeper(cfg SweeperConfig) *Sweeper {
	ctx, stop := context.WithCancel(context.Background())
	s := &Sweeper{cfg: cfg, stop: stop}
	s.done.Go(func() { s.run(ctx) })
	return s
}

// Close ends the loop and joins it.
func (s *Sweeper) Close() {
	s.stop()
	s.done.Wait()
}

func (s *Sweeper) run(ctx context.Context) {
	every(ctx, sweepEvery, func() {
		if s.looks++; s.looks%fullSweep == 0 || !s.cfg.Leads() {
			s.swept = time.Time{}
		}
		for s.cfg.Leads() && s.sweep(ctx) {
		}
	})
}

// sweep proposes what is due, and reports whether there may be more.
func (s *Sweeper) sweep(ctx context.Context) (more bool) {
	due, err := s.due()
	if err != nil || len(due) == 0 {
		return false // an error of the engine stops the node by itself
	}
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	res, err := s.cfg.Submit(ctx, &fsm.SweepTxns{IDs: due})
	if err == nil {
		err = res.Err
	}
	if err != nil {
		if ctx.Err() == nil && hawser.CodeOf(err).Retry() == hawser.RetryNever {
			s.cfg.Logger.Warn("transactions past their deadline were not swept", "error", err)
		}
		return false
	}
	return res.More || res.Pruned == uint64(len(due))
}

func (s *Sweeper) due() ([]hawser.TxnID, error) {
	v, err := s.cfg.View()
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	due, err := v.DueTxns(s.swept, now)
	if closeErr := v.Close(); err == nil {
		err = closeErr
	}
	if err == nil && len(due) == 0 {
		s.swept = now
	}
	return due, err
}
