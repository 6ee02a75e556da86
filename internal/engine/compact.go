// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Range is the keys in [From, To).
type Range struct{ From, To []byte }

// Compact frees what was removed or overwritten in the keys of r, which must
// not be empty: their tables are read and written anew. What is not flushed is
// flushed before. It returns the error of ctx when that ends first; what is
// under way then ends by itself, before the store is closed at the latest.
func (d *DB) Compact(ctx context.Context, r Range) error {
	var ended error
	err := d.do("compact", func() error {
		err := d.db.Compact(ctx, r.From, r.To, false)
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			ended = err
			return nil
		}
		return err
	})
	if err != nil {
		return err // the compaction may still be writing ended
	}
	return ended
}

// CompactAll frees everything that was removed or overwritten, and waits some
// seconds for its files to go. Errors are
// those of [DB.Compact].
func (d *DB) CompactAll(ctx context.Context) error {
	if err := d.Flush(); err != nil {
		return err
	}
	pieces, err := d.Pieces(wholePiece)
	if err != nil {
		return err
	}
	for _, r := range pieces {
		if err := d.Compact(ctx, r); err != nil {
			return err
		}
	}
	return d.awaitRemovals(ctx)
}

// removalPoll and removalWait say how often and how long awaitRemovals looks.
const (
	removalPoll = 10 * time.Millisecond
	removalWait = 5 * time.Second
)

// awaitRemovals waits until the files that compactions replaced are gone,
// which the store removes a little later. Files that somebody still reads stay.
func (d *DB) awaitRemovals(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removalWait)
	defer cancel()
	ticker := time.NewTicker(removalPoll)
	defer ticker.Stop()
	for d.check() == nil && d.db.Metrics().Table.Local.ObsoleteSize > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return nil
		}
	}
	return d.check()
}

// wholePiece is what [DB.CompactAll] compacts at a time, so that it can be
// given up in between.
const wholePiece = 64 << 20

// Pieces cuts the keys into ranges that take about size bytes on disk each, or
// one table where that is larger. Together they hold every key that was
// flushed.
func (d *DB) Pieces(size uint64) ([]Range, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	var levels [][]pebble.SSTableInfo
	err := guard(func() (err error) {
		levels, err = d.db.SSTables()
		return err
	})
	if err != nil {
		return nil, d.read("list tables", err)
	}
	return cut(slices.Concat(levels...), size), nil
}

// cut cuts where tables end. The tables of all levels overlap, so it goes by
// the sizes of those that end before a cut.
func cut(tables []pebble.SSTableInfo, size uint64) (pieces []Range) {
	if len(tables) == 0 {
		return nil
	}
	slices.SortFunc(tables, func(a, b pebble.SSTableInfo) int {
		return bytes.Compare(a.Largest.UserKey, b.Largest.UserKey)
	})
	from := slices.MinFunc(tables, func(a, b pebble.SSTableInfo) int {
		return bytes.Compare(a.Smallest.UserKey, b.Smallest.UserKey)
	}).Smallest.UserKey
	gathered := uint64(0)
	for i, t := range tables {
		gathered += t.Size
		if gathered < size && i < len(tables)-1 {
			continue
		}
		to := append(slices.Clone(t.Largest.UserKey), 0)
		if bytes.Compare(from, to) < 0 {
			pieces = append(pieces, Range{From: slices.Clone(from), To: to})
		}
		from, gathered = to, 0
	}
	return pieces
}
