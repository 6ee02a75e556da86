// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotWait bounds the wait for a snapshot, which is a flush of the machine
// and a truncation of the log.
const snapshotWait = time.Minute

// snapshotMark is where things stood when the last snapshot was taken.
type snapshotMark struct {
	at      time.Time
	bytes   int64
	applied uint64
}

// maintain takes snapshots when they are due.
func (r *Replica) maintain() {
	tick := time.NewTicker(r.cfg.Retention.CheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.closing:
			return
		case <-tick.C:
		}
		if !r.snapshotDue() || r.latch.Err() != nil {
			continue
		}
		if err := r.Snapshot(); err != nil {
			r.logger.Warn("could not let the log be truncated; trying again later", "err", err)
		}
	}
}

func (r *Replica) snapshotDue() bool {
	r.snapshots.Lock()
	defer r.snapshots.Unlock()
	if r.appliedIndex() <= r.taken.applied {
		return false
	}
	_, last := r.logs.bounds()
	return r.logs.sizes.total(last)-r.taken.bytes >= r.cfg.Retention.SnapshotBytes ||
		time.Since(r.taken.at) >= r.cfg.Retention.SnapshotEvery
}

// Snapshot makes the machine durable and lets raft truncate the log up to what
// must be kept. Its cost does not depend on the size of the state. It returns
// nil if there is nothing to do.
func (r *Replica) Snapshot() error {
	r.snapshots.Lock()
	defer r.snapshots.Unlock()
	_, last := r.logs.bounds()
	now := snapshotMark{at: time.Now(), bytes: r.logs.sizes.total(last), applied: r.appliedIndex()}
	instance := r.raft.Load()
	r.logs.keepFrom.Store(r.keepFrom())
	ctx, cancel := context.WithTimeout(context.Background(), snapshotWait)
	defer cancel()
	err := awaitClosing(ctx, r.closing, func() raft.Future { return instance.Snapshot() })
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("snapshot: %w", err)
	}
	r.taken = now
	r.counters.snapshots.Add(1)
	return nil
}

// keepFrom returns the first entry that must stay. While this replica leads
// that is also the newest one that all members have: raft needs the entry
// before the first that it sends. Whoever fetches a checkpoint says itself
// what it needs, to every replica that may lead when it is done.
func (r *Replica) keepFrom() uint64 {
	keep := r.logs.sizes.from(r.cfg.Retention.KeepBytes)
	behind := r.holds.lowest(time.Now())
	if r.leads() {
		behind = min(behind, r.slowest())
	}
	floor := r.logs.sizes.from(r.cfg.Retention.KeepBehindBytes)
	return min(keep, max(floor, behind))
}

// slowest returns the lowest index up to which all members' logs agree with
// ours: 0 if there is one of which we know nothing.
func (r *Replica) slowest() uint64 {
	peers := r.trans.peers.all()
	_, lowest := r.logs.bounds()
	for _, s := range r.Configuration().Servers {
		if s.ID != r.cfg.ID {
			lowest = min(lowest, peers[s.ID].Match)
		}
	}
	return lowest
}

// awaitClosing is await for a call that may itself block, cut short when
// closing is closed.
func awaitClosing(ctx context.Context, closing <-chan struct{}, call func() raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- call().Error() }()
	select {
	case err := <-done:
		return err
	case <-closing:
		return errClosing
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errClosing = errors.New("the replica is closing")
