// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/logbridge"
)

// Replica is one member's part in the replicated log. It is safe for
// concurrent use.
type Replica struct {
	cfg    Config
	logger *slog.Logger
	latch  *latch
	logs   *logStore
	stable *stableStore
	snaps  *snapshotStore
	fsm    *machineFSM
	trans  *transport

	raft atomic.Pointer[raft.Raft]
	// commit is the highest commit index of the instances of raft before.
	commit atomic.Uint64
	// transferring counts leadership transfers under way.
	transferring atomic.Int64
	installs     installCounter
	holds        holds
	counters     counters

	wake     chan struct{} // capacity 1: leadership or configuration may have changed
	restarts chan string   // capacity 1: why raft must be restarted
	closing  chan struct{}
	wg       sync.WaitGroup
	once     sync.Once
	closed   error // set within once

	snapshots sync.Mutex // one snapshot at a time; guards taken
	taken     snapshotMark
}

// Open opens the replica in cfg.Dir, or makes a new one, and starts raft. A
// new one waits until it is bootstrapped or another one adds it.
//
// An error is a *halt.Error where it is about the directory; a damaged
// directory is quarantined. Open does not call cfg.Halt for what it returns.
func Open(cfg Config) (*Replica, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Replica{
		cfg: cfg, logger: cfg.Logger,
		wake: make(chan struct{}, 1), restarts: make(chan string, 1), closing: make(chan struct{}),
	}
	r.latch = newLatch(cfg.Dir, cfg.Timeouts.Hang, cfg.Logger, r.halted)
	if err := r.open(); err != nil {
		if he, ok := errors.AsType[*halt.Error](err); ok && he.Reason == halt.Damaged {
			err = errors.Join(err, Quarantine(cfg.Dir, err))
		}
		return nil, errors.Join(err, r.closeStores())
	}
	r.taken = snapshotMark{at: time.Now(), applied: r.appliedIndex()}
	r.trans = newTransport(cfg, r.latch, (*inbound)(r))
	if err := r.startRaft(); err != nil {
		return nil, errors.Join(err, r.trans.stop(), r.closeStores())
	}
	r.wg.Go(r.control)
	r.wg.Go(r.maintain)
	return r, nil
}

// halted runs once, when the latch closes.
func (r *Replica) halted(err error) {
	r.logger.Error("this replica takes no further part", "err", err)
	r.notify()
	r.cfg.Halt(err)
}

// open opens the stores and checks that they agree with the machine.
func (r *Replica) open() error {
	cfg := r.cfg
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return &halt.Error{Reason: halt.Directory, Where: cfg.Dir, Err: err}
	}
	if err := errors.Join(CheckQuarantine(cfg.Dir), cfg.checkKind()); err != nil {
		return err
	}
	stablePath := filepath.Join(cfg.Dir, stableFile)
	if !exists(cfg.markPath()) && exists(stablePath) {
		return damaged(cfg.markPath(), "the log is missing, but the node took part in elections")
	}
	var err error
	if r.logs, err = openLog(cfg, r.latch, (*progress)(r)); err != nil {
		return err
	}
	_, last := r.logs.bounds()
	if r.stable, err = openStable(stablePath, last == 0 && r.appliedIndex() == 0, r.latch); err != nil {
		return err
	}
	if last == 0 && r.appliedIndex() == 0 {
		if err := r.stable.undoBootstrap(); err != nil {
			return err
		}
	}
	if err := r.checkStart(); err != nil {
		return err
	}
	if r.snaps, err = newSnapshotStore(cfg.Dir, cfg.Machine, cfg.Sound); err != nil {
		return &halt.Error{Reason: halt.Directory, Where: cfg.Dir, Err: err}
	}
	r.logs.onConfiguration = r.notify
	r.fsm = &machineFSM{
		machine: cfg.Machine, latch: r.latch, dir: cfg.Dir, onApplied: cfg.OnApplied, onSwapped: cfg.OnSwapped,
		onConfiguration: func(index uint64) { r.logs.configurationCommitted(index); r.notify() }, reset: r.resetLog, afterStep: cfg.afterStep,
	}
	r.latch.running.Store(true)
	return nil
}

// startRaft starts an instance of raft on the open stores.
func (r *Replica) startRaft() error {
	conf := r.raftConfig()
	var instance *raft.Raft
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = guarded(r.cfg.Dir, "start raft", func() (err error) {
			instance, err = raft.NewRaft(conf, r.fsm, r.logs, r.stable, r.snaps, r.trans)
			return err
		})
	}()
	select {
	case <-ended:
	case <-r.latch.stopped:
		r.latch.unpark() // it may wait for the replica to close
		<-ended
	}
	if instance == nil {
		if lerr := r.latch.Err(); lerr != nil {
			return lerr
		}
		return fmt.Errorf("start raft in %s: %w", r.cfg.Dir, err)
	}
	instance.RegisterObserver(raft.NewObserver(nil, false, func(*raft.Observation) bool {
		r.notify()
		return false
	}))
	r.raft.Store(instance)
	r.notify()
	return nil
}

// raftConfig says how raft runs. What is not set on purpose: NotifyCh blocks
// raft; RestoreCommittedLogs loses the configuration. Snapshots are ours to
// time, see maintain.
func (r *Replica) raftConfig() *raft.Config {
	c, t := raft.DefaultConfig(), r.cfg.Timeouts
	c.LocalID = raft.ServerID(r.cfg.ID)
	c.HeartbeatTimeout, c.ElectionTimeout = t.Heartbeat, t.Heartbeat
	c.LeaderLeaseTimeout, c.CommitTimeout = t.Lease, t.Commit
	c.MaxAppendEntries, c.BatchApplyCh = 16, true
	c.SnapshotInterval, c.SnapshotThreshold = neverInterval, neverThreshold
	c.TrailingLogs = 0 // the log itself knows what must stay
	c.ShutdownOnRemove = false
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	c.Logger = logbridge.HCLog(newRaftLog(r.logger.Handler()))
	return c
}

// raft's own timing of snapshots is switched off.
const (
	neverInterval  = 1000 * time.Hour
	neverThreshold = 1 << 62
)

// notify wakes the control loop. It never blocks.
func (r *Replica) notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close stops the replica: it stops taking part, waits a bounded time for raft
// and joins its goroutines. Streams are closed; the machine is not. If raft
// does not stop in time its stores stay open and the error says so. Close is
// idempotent.
func (r *Replica) Close(ctx context.Context) error {
	r.once.Do(func() { r.closed = r.shutdown(ctx) })
	return r.closed
}

func (r *Replica) shutdown(ctx context.Context) error {
	close(r.closing)
	r.wg.Wait() // the loops: after this nobody restarts raft
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeouts.Close)
	defer cancel()
	future := r.raft.Load().Shutdown()
	r.latch.unpark()
	// Connections go first, so that raft's calls to others end at once.
	err := r.trans.stop()
	if werr := await(ctx, future); werr != nil {
		return errors.Join(err, fmt.Errorf("raft did not stop, its files stay open: %w", werr))
	}
	return errors.Join(err, r.snaps.close(), r.closeStores())
}

// closeStores closes what is open.
func (r *Replica) closeStores() error {
	var errs []error
	if r.logs != nil {
		errs = append(errs, r.logs.Close())
	}
	if r.stable != nil {
		errs = append(errs, r.stable.Close())
	}
	return errors.Join(errs...)
}

// await waits for a future of raft's, which may never be answered (raft#498).
// The goroutine that asks it ends when the future is answered.
func await(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
