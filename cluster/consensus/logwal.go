// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"github.com/hawserdb/hawser/internal/logbridge"
)

// openWAL opens the wal in dir and returns about how many bytes it holds.
func openWAL(dir string, c Config) (backend, int64, error) {
	if err := prepareWAL(dir); err != nil {
		return nil, 0, err
	}
	under := c.walFS
	if under == nil {
		under = walfs.New()
	}
	size := c.segmentSize
	if size == 0 {
		size = wal.DefaultSegmentSize
	}
	vfs := &trackingVFS{VFS: under}
	w, err := wal.Open(dir,
		wal.WithSegmentFiler(&walFiler{Filer: segment.NewFiler(dir, vfs)}),
		wal.WithMetaStore(&walMeta{path: filepath.Join(dir, walMetaFile)}),
		wal.WithSegmentSize(size),
		wal.WithLogger(logbridge.HCLog(c.Logger.Handler()).Named("wal")))
	if err != nil {
		// raft-wal leaves open what it had opened before the error.
		return nil, 0, errors.Join(fmt.Errorf("directory %s: %w", dir, err), vfs.closeAll())
	}
	vfs.forget()
	bytes, err := walBytes(dir, int64(size))
	if err != nil {
		return nil, 0, errors.Join(err, w.Close())
	}
	return w, bytes, nil
}

// walBytes returns the bytes in all segments but one: the newest is allocated
// in full ahead of its use.
func walBytes(dir string, segmentSize int64) (int64, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return max(0, sum-segmentSize), nil
}

// walFiler mends one thing of raft-wal's: when a suffix was deleted, the
// segment that it was cut from is sealed without an index block, and after a
// restart every entry in it would be unreadable ("sealed segment has no index
// block"). Such a segment is read through, as the newest one is.
type walFiler struct{ *segment.Filer }

// Open implements types.SegmentFiler.
func (f *walFiler) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart != 0 {
		return f.Filer.Open(info)
	}
	return f.RecoverTail(info)
}

// trackingVFS remembers open files until it is told to forget.
type trackingVFS struct {
	types.VFS

	mu    sync.Mutex
	open  []io.Closer
	quiet bool
}

func (v *trackingVFS) track(c io.Closer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.quiet {
		v.open = append(v.open, c)
	}
}

// Create implements types.VFS.
func (v *trackingVFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := v.VFS.Create(dir, name, size)
	if err == nil {
		v.track(f)
	}
	return f, err
}

// OpenReader implements types.VFS.
func (v *trackingVFS) OpenReader(dir, name string) (types.ReadableFile, error) {
	f, err := v.VFS.OpenReader(dir, name)
	if err == nil {
		v.track(f)
	}
	return f, err
}

// OpenWriter implements types.VFS.
func (v *trackingVFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := v.VFS.OpenWriter(dir, name)
	if err == nil {
		v.track(f)
	}
	return f, err
}

func (v *trackingVFS) closeAll() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for _, c := range v.open {
		errs = append(errs, c.Close())
	}
	v.open = nil
	return errors.Join(errs...)
}

func (v *trackingVFS) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open, v.quiet = nil, true
}
