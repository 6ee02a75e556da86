// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Watcher notes every version of which a watch tells, and records grants of claims
// and locks, and their ends.
type Watcher struct {
	conn     *client.Client
	id       int
	recorder *history.Recorder

	mu     sync.Mutex
	told   []check.Told
	cursor hawser.Cursor // zero until the watch has begun
}

// NewWatcher returns a watcher with a connection of its own, which records as the
// client id.
func NewWatcher(conn *client.Client, id int, recorder *history.Recorder) *Watcher {
	return &Watcher{conn: conn, id: id, recorder: recorder}
}

// Run watches until ctx ends, and goes on from where it was after an error. One
// that cannot be gone on from is returned.
func (w *Watcher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		var from []client.WatchOption
		if c := w.at(); !c.IsZero() {
			from = append(from, client.After(c))
		}
		for batch, err := range w.conn.Watch(ctx, from...) {
			if errors.Is(err, hawser.ErrCompacted) || errors.Is(err, hawser.ErrWrongGeneration) || errors.Is(err, hawser.ErrInvalid) {
				return err
			}
			if err != nil {
				break
			}
			w.take(batch)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

func (w *Watcher) at() hawser.Cursor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursor
}

func (w *Watcher) take(b client.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cursor = b.Cursor
	for _, e := range b.Events {
		switch e.Kind { //nolint:exhaustive // the others are of no interest here
		case hawser.EventVersionSaved:
			w.told = append(w.told, check.Told{Revision: uint64(e.Revision), Agent: e.Name.Name, Number: e.Number})
		case hawser.EventClaimGranted, hawser.EventLockGranted:
			w.record(history.Granted, e)
		case hawser.EventClaimEnded, hawser.EventLockEnded:
			w.record(history.Ended, e)
		}
	}
}

// record notes a grant or an end as it was seen; it may have been for long.
func (w *Watcher) record(kind history.Kind, e hawser.Event) {
	_, number := hawser.SplitToken(e.Token)
	w.recorder.Record(history.Op{
		Client: w.id, Kind: kind, Agent: e.Name.Name, Epoch: number, Revision: uint64(e.Revision), Value: e.Lease.String(), To: e.Instance, Reason: e.Reason,
		Stale: true, Outcome: history.OK,
	})
}

// Told waits until the watcher watches and has seen a revision, and returns what it was told.
func (w *Watcher) Told(ctx context.Context, upTo hawser.Revision) ([]check.Told, error) {
	for {
		w.mu.Lock()
		told, at := w.told, w.cursor
		w.mu.Unlock()
		if !at.IsZero() && at.Revision >= upTo {
			return told, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
