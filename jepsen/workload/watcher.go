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
)

// Watcher notes every version of which a watch tells.
type Watcher struct {
	conn *client.Client

	mu     sync.Mutex
	told   []check.Told
	cursor hawser.Cursor // zero until the watch has begun
}

// NewWatcher returns a watcher with a connection of its own.
func NewWatcher(conn *client.Client) *Watcher { return &Watcher{conn: conn} }

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
		if e.Kind == hawser.EventVersionSaved {
			w.told = append(w.told, check.Told{Revision: uint64(e.Revision), Agent: e.Name.Name, Number: e.Number})
		}
	}
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
