// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package janitor does the leader's housekeeping: it reclaims what deleted
// agents have left behind, in bounded commands, and raises the feature level
// once every member knows it.
//
// A Janitor owns one goroutine. It proposes only while the node leads; what it
// proposes is decided by the state machine, so two janitors that both believe
// to lead do no harm.
package janitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// reclaimAgents and reclaimRecords bound one turn: so many agents, and of
	// each so many records in one command.
	reclaimAgents  = 16
	reclaimRecords = 256
	// turn is the time from one look for work to the next.
	turn = time.Second
	// submitTimeout bounds one command.
	submitTimeout = 5 * time.Second
)

// Machine is what a Janitor looks at.
type Machine interface {
	Garbage(limit int) ([]hawser.AgentID, error)
	Info() fsm.Info
}

// Config configures a [Janitor]. All fields are required.
type Config struct {
	Machine Machine
	// Leads reports whether the node leads and serves.
	Leads func() bool
	// Submit proposes a command.
	Submit func(context.Context, fsm.Command) (fsm.Result, error)
	// Level returns the highest feature level that every member knows, 0 when
	// some member has not told.
	Level  func() uint32
	Logger *slog.Logger
}

// Janitor is a running loop. Make one with [Start].
type Janitor struct {
	cfg  Config
	stop context.CancelFunc
	done sync.WaitGroup
}

// Start starts a janitor.
func Start(cfg Config) *Janitor {
	ctx, stop := context.WithCancel(context.Background())
	j := &Janitor{cfg: cfg, stop: stop}
	j.done.Go(func() { j.run(ctx) })
	return j
}

// Close ends the loop and joins it.
func (j *Janitor) Close() {
	j.stop()
	j.done.Wait()
}

func (j *Janitor) run(ctx context.Context) {
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for j.cfg.Leads() && j.reclaim(ctx) {
			if ctx.Err() != nil {
				return
			}
		}
		if j.cfg.Leads() {
			j.raise(ctx)
		}
	}
}

// reclaim frees a bounded amount and reports whether there may be more.
func (j *Janitor) reclaim(ctx context.Context) bool {
	agents, err := j.cfg.Machine.Garbage(reclaimAgents)
	if err != nil {
		j.cfg.Logger.Warn("looking for deleted versions failed", "error", err)
		return false
	}
	for _, agent := range agents {
		if !j.submit(ctx, &fsm.Reclaim{Agent: agent, Limit: reclaimRecords}) {
			return false
		}
	}
	return len(agents) > 0
}

// raise raises the cluster's feature level to what every member knows.
func (j *Janitor) raise(ctx context.Context) {
	if level := j.cfg.Level(); level > j.cfg.Machine.Info().Level {
		if j.submit(ctx, &fsm.RaiseLevel{Level: level}) {
			j.cfg.Logger.Info("feature level raised", "level", level)
		}
	}
}

func (j *Janitor) submit(ctx context.Context, c fsm.Command) bool {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	result, err := j.cfg.Submit(ctx, c)
	if err == nil {
		err = result.Err
	}
	if err != nil && ctx.Err() == nil && hawser.CodeOf(err).Retry() == hawser.RetryNever {
		j.cfg.Logger.Warn("housekeeping was refused", "error", err)
	}
	return err == nil
}
