// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hawserdb/hawser/internal/halt"
)

// DB is an open store.
type DB struct {
	dir   string
	opts  Options
	db    *pebble.DB
	cache *pebble.Cache

	closing atomic.Bool
	// deletes counts the deletes that were committed.
	deletes atomic.Uint64
	// failed is closed, after failure was set, by failOnce.
	failOnce sync.Once
	failed   chan struct{}
	failure  error
	// onFatal is told of the failure; nil for nobody.
	onFatal atomic.Pointer[halt.Func]
}

// Open opens the store in dir, or makes it. Errors are *halt.Error values;
// damaged files are an error, never a panic on the caller's goroutine.
func Open(dir string, opts Options) (*DB, error) {
	d := &DB{dir: dir, opts: opts.filled(), failed: make(chan struct{})}
	d.tell(opts.OnFatal)
	d.cache = pebble.NewCache(d.opts.CacheBytes)
	done := make(chan error, 1)
	go func() {
		done <- guard(func() (err error) {
			d.db, err = pebble.Open(dir, d.opts.pebble(d, d.cache))
			return err
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			d.cache.Unref()
			return nil, d.classifyOpen(err)
		}
	case <-d.failed: // the opening goroutine may be blocked for ever
		return nil, d.failure
	}
	return d, nil
}

// Dir returns the directory.
func (d *DB) Dir() string { return d.dir }

// Get returns a copy of the value of key in the newest state, and whether
// there is one.
func (d *DB) Get(key []byte) (value []byte, ok bool, err error) {
	if err := d.check(); err != nil {
		return nil, false, err
	}
	return d.get(d.db, key)
}

func (d *DB) get(r pebble.Reader, key []byte) (out []byte, ok bool, err error) {
	err = guard(func() error {
		value, closer, err := r.Get(key)
		if err != nil {
			return err
		}
		out = append(make([]byte, 0, len(value)), value...)
		return closer.Close()
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, d.read("read", err)
	}
	return out, true, nil
}

// Iter iterates over the keys in [lower, upper) of the newest state.
func (d *DB) Iter(lower, upper []byte) (*Iterator, error) { return d.iter(d.db, lower, upper) }

// Durable returns copies of the values of keys as a power cut now would leave
// them, all of one moment; nil for a key that would not be there.
func (d *DB) Durable(keys ...[]byte) ([][]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	err := guard(func() error {
		it, err := d.db.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true})
		if err != nil {
			return err
		}
		for i, key := range keys {
			if !it.SeekGE(key) || string(it.Key()) != string(key) {
				continue
			}
			v, err := it.ValueAndErr()
			if err != nil {
				return errors.Join(err, it.Close())
			}
			values[i] = append([]byte{}, v...)
		}
		return errors.Join(it.Error(), it.Close())
	})
	if err != nil {
		return nil, d.read("read durable", err)
	}
	return values, nil
}

// Flush returns when all that was committed before is durable.
func (d *DB) Flush() error { return d.do("flush", d.db.Flush) }

// Checkpoint makes a durable copy of the store in dir, which must not exist,
// by hard links where it can. It holds at least what was committed before the
// call, and is an exact prefix of all commits.
func (d *DB) Checkpoint(dir string) error {
	return d.do("checkpoint", func() error {
		if err := d.db.Flush(); err != nil {
			return err
		}
		return d.db.Checkpoint(dir)
	})
}

// Metrics are numbers about the store.
type Metrics struct {
	// DiskBytes is what the store occupies.
	DiskBytes uint64
	// MemTableBytes is what is not flushed yet.
	MemTableBytes uint64
	// FlushedBytes and CompactedBytes were written since Open.
	FlushedBytes, CompactedBytes uint64
	// Compactions and Flushes since Open.
	Compactions, Flushes int64
	// GarbageBytes is the part of DiskBytes that deletes, as far as they are
	// flushed, would give back if everything were compacted: an estimate.
	GarbageBytes uint64
	// Deletes counts the deletes, of keys and of ranges, since Open.
	Deletes uint64
	// L0Tables are the tables not sorted in yet.
	L0Tables int64
	// CacheHits and CacheMisses of the block cache.
	CacheHits, CacheMisses int64
}

// Metrics returns numbers about the store.
func (d *DB) Metrics() Metrics {
	if d.check() != nil {
		return Metrics{}
	}
	m := d.db.Metrics()
	out := Metrics{
		DiskBytes:     m.DiskSpaceUsage(),
		MemTableBytes: m.MemTable.Size,
		Compactions:   m.Compact.Count,
		Flushes:       m.Flush.Count,
		GarbageBytes:  m.Table.Garbage.PointDeletionsBytesEstimate + m.Table.Garbage.RangeDeletionsBytesEstimate,
		Deletes:       d.deletes.Load(),
		L0Tables:      m.Levels[0].TablesCount,
		CacheHits:     m.BlockCache.Hits,
		CacheMisses:   m.BlockCache.Misses,
	}
	for i := range m.Levels {
		out.FlushedBytes += m.Levels[i].TableBytesFlushed + m.Levels[i].BlobBytesFlushed
		out.CompactedBytes += m.Levels[i].TableBytesCompacted + m.Levels[i].BlobBytesCompacted
	}
	return out
}

// Close flushes and closes the store, on which every call fails from then on.
// Snapshots and iterators must be closed before.
func (d *DB) Close() error {
	if err := d.Flush(); err != nil {
		return err
	}
	return d.Discard()
}

// Discard closes the store without flushing: what was not flushed is lost.
func (d *DB) Discard() error {
	d.closing.Store(true)
	err := d.do("close engine", d.db.Close)
	if err == nil {
		d.cache.Unref()
		d.latch(errClosedHalt(d.dir))
	}
	return err
}
