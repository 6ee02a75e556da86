// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser/internal/engine"
)

const (
	// lookEvery is how often a Compactor looks at the store.
	lookEvery = 3 * time.Second
	// pieceBytes is how much it compacts at a time, and pieceShare how long it
	// waits after that, in times that the piece took: a quarter of one core.
	pieceBytes = 16 << 20
	pieceShare = 3
	// stagger is the most that it waits at first: what was removed was removed
	// on all nodes at once, and a majority should be quick meanwhile.
	stagger = 8 * time.Second
)

// Store is the store of a node: an *fsm.Machine.
type Store interface {
	Metrics() (engine.Metrics, error)
	Flush() error
	Pieces(size uint64) ([]engine.Range, error)
	CompactPiece(ctx context.Context, piece engine.Range) error
}

// Compactor gives back the disk of what was removed from a node's store. The
// store does that by itself only where it happens to compact; after a pass of
// retention that may be never. It works piece by piece, at a quarter of a core.
//
// Every node has one, whoever leads. It owns one goroutine.
type Compactor struct {
	store  Store
	logger *slog.Logger
	stop   context.CancelFunc
	done   sync.WaitGroup
	runs   atomic.Int64
	last   sight
}

// StartCompactor starts a Compactor.
func StartCompactor(store Store, logger *slog.Logger) *Compactor {
	ctx, stop := context.WithCancel(context.Background())
	c := &Compactor{store: store, logger: logger, stop: stop}
	c.done.Go(func() { c.run(ctx) })
	return c
}

// Close ends the loop and joins it.
func (c *Compactor) Close() {
	c.stop()
	c.done.Wait()
}

// Runs counts the times that the store was compacted.
func (c *Compactor) Runs() int64 { return c.runs.Load() }

func (c *Compactor) run(ctx context.Context) {
	every(ctx, lookEvery, func() {
		if err := c.look(ctx); err != nil && ctx.Err() == nil {
			c.logger.Warn("compacting the store failed", "error", err)
		}
	})
}

func (c *Compactor) look(ctx context.Context) error {
	m, err := c.store.Metrics()
	if err != nil {
		return err
	}
	switch c.last.next(m) {
	case flush:
		return c.store.Flush()
	case compact:
		return c.compact(ctx, m)
	case wait:
	}
	return nil
}

func (c *Compactor) compact(ctx context.Context, before engine.Metrics) error {
	if !rest(ctx, rand.N(stagger)) {
		return nil
	}
	start := time.Now()
	pieces, err := c.store.Pieces(pieceBytes)
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		began := time.Now()
		if err := c.store.CompactPiece(ctx, piece); err != nil {
			return err
		}
		if !rest(ctx, pieceShare*time.Since(began)) {
			return nil
		}
	}
	after, err := c.store.Metrics()
	if err != nil {
		return err
	}
	c.runs.Add(1)
	c.last.done(after)
	c.logger.Info("store compacted", "bytes_before", before.DiskBytes, "bytes_after", after.DiskBytes, "duration", time.Since(start).Round(time.Millisecond))
	return nil
}

// action is what a Compactor does after a look.
type action uint8

const (
	wait action = iota
	flush
	compact
)

const (
	// manyDeletes are worth a flush, which shows what they give back.
	manyDeletes = 5000
	// minGarbage is worth a compaction, if it is 1/quietShare of the store
	// while little is being deleted, or 1/busyShare in any case: so compacting
	// writes no more than that many times what it gives back.
	minGarbage = 1 << 20
	quietShare = 12
	busyShare  = 4
)

// sight is what a Compactor saw at its last look.
type sight struct {
	deletes uint64
	// pending counts the deletes that no flush is known to have followed.
	pending uint64
	// left is the garbage that the last compaction could not give back, because
	// somebody was reading or the estimate is wrong.
	left uint64
}

// next takes in what the store looks like and returns what to do.
func (s *sight) next(m engine.Metrics) action {
	if m.Deletes < s.deletes { // another store took its place
		*s = sight{}
	}
	fresh := m.Deletes - s.deletes
	s.deletes = m.Deletes
	s.pending += fresh
	s.left = min(s.left, m.GarbageBytes)
	garbage := m.GarbageBytes - s.left
	quiet := fresh < manyDeletes/5
	switch {
	case garbage >= minGarbage && garbage*busyShare >= m.DiskBytes,
		garbage >= minGarbage && quiet && garbage*quietShare >= m.DiskBytes:
		return compact
	case quiet && s.pending >= manyDeletes:
		s.pending = 0
		return flush
	}
	return wait
}

// done takes in what the store looks like after a compaction.
func (s *sight) done(m engine.Metrics) { s.left, s.pending = m.GarbageBytes, 0 }
