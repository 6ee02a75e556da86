// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser/internal/halt"
)

// formatVersion is the on-disk format. Raising it is one way: a binary that
// knows a lower one only cannot open the directory any more.
const formatVersion = pebble.FormatValueSeparation

const (
	defaultCacheBytes    = 64 << 20
	defaultMemTableBytes = 32 << 20
	// A stalled write stalls every replica's apply loop, so writes stop late:
	// six memtables and 40 levels of unsorted tables are far more than a
	// working compactor lets gather.
	stopWritesMemTables = 6
	stopWritesL0        = 40
	bloomBitsPerKey     = 10
	maxOpenFiles        = 1000
)

// FS is the file system under a store; nil is the operating system's.
type FS = vfs.FS

// Options configures [Open]. The zero value is ready to use.
type Options struct {
	// Logger gets what an operator cares about; nil discards it.
	Logger *slog.Logger
	// CacheBytes is the block cache; 0 for 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one memtable; 0 for 32 MiB. More means
	// fewer and larger files, and longer log replay after a crash.
	MemTableBytes int64
	// SeparateBytes is the length from which values are kept in files of
	// their own, which compactions need not rewrite; 0 for never. It is off
	// because Pebble 2.1.7 panics, also on its own goroutines, when such a
	// file is damaged (reportCorruption knows no metadata of one).
	SeparateBytes int
	// FS is the file system; nil for the operating system's.
	FS FS
	// OnFatal is told the error after which the engine does nothing any more;
	// nil tells nobody but the callers.
	OnFatal halt.Func
	// ErrorIfMissing refuses to make a new store, ErrorIfExists to open an old one.
	ErrorIfMissing, ErrorIfExists bool
	// ReadOnly opens a store that nobody else has open, without changing it.
	ReadOnly bool
}

func (o Options) filled() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	return o
}

func (o Options) pebble(d *DB, cache *pebble.Cache) *pebble.Options {
	p := &pebble.Options{
		Cache:                       cache,
		DisableWAL:                  true,
		ErrorIfExists:               o.ErrorIfExists,
		ErrorIfNotExists:            o.ErrorIfMissing,
		FormatMajorVersion:          formatVersion,
		FS:                          o.FS,
		L0StopWritesThreshold:       stopWritesL0,
		Logger:                      (*logger)(d),
		MaxOpenFiles:                maxOpenFiles,
		MemTableSize:                uint64(o.MemTableBytes),
		MemTableStopWritesThreshold: stopWritesMemTables,
		ReadOnly:                    o.ReadOnly,
		EventListener: &pebble.EventListener{
			BackgroundError: d.backgroundError,
			DataCorruption:  d.dataCorruption,
			DiskSlow:        d.diskSlow,
			WriteStallBegin: d.writeStall,
		},
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
	}
	if o.SeparateBytes > 0 {
		policy := pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: o.SeparateBytes, MaxBlobReferenceDepth: 10,
			RewriteMinimumAge: 5 * time.Minute, TargetGarbageRatio: 0.25,
		}
		p.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy { return policy }
	}
	if o.FS == nil {
		p.WithFSDefaults() // watches for writes that do not return
	}
	p.FS = &guardedFS{FS: p.FS, d: d}
	return p
}
