// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// The names of the log's files.
const (
	walDir   = "wal"
	boltFile = "log.db"
	markFile = "mark"
)

// sizeStep is how finely the log's sizes are sampled.
const sizeStep = 256 << 10

// markPath returns where the log's mark is.
func (c Config) markPath() string {
	if c.LogStore == LogBoltDB {
		return filepath.Join(c.Dir, markFile)
	}
	return filepath.Join(c.Dir, walDir, markFile)
}

// checkKind refuses a directory that has the other kind of log.
func (c Config) checkKind() error {
	other := filepath.Join(c.Dir, boltFile)
	if c.LogStore == LogBoltDB {
		other = filepath.Join(c.Dir, walDir)
	}
	if exists(other) {
		return &halt.Error{
			Reason: halt.Directory, Where: other, Hint: "start with the log store that the directory was made with",
			Err: fmt.Errorf("the log store is %q, but the directory holds another kind of log", c.LogStore),
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// openLog opens the log, or makes an empty one, and checks its end.
func openLog(c Config, l *latch, progress logProgress) (*logStore, error) {
	var b backend
	var bytes int64
	path := filepath.Join(c.Dir, walDir)
	open := func() (err error) { b, bytes, err = openWAL(path, c); return err }
	if c.LogStore == LogBoltDB {
		path = filepath.Join(c.Dir, boltFile)
		open = func() (err error) { b, bytes, err = openBoltLog(path, c.markPath()); return err }
	}
	if err := guarded(path, "open the log", open); err != nil {
		return nil, halt.Wrap(openReason(err), path, fmt.Errorf("open the log: %w", err))
	}
	s := &logStore{
		backend: b, path: path, latch: l, progress: progress,
		tail: tail{max: c.Retention.CacheBytes}, sizes: sizes{step: min(sizeStep, 1+c.Retention.KeepBytes/16)},
	}
	s.keepFrom.Store(math.MaxUint64)
	if err := guarded(path, "open the log", func() error { return s.recover(c.markPath(), bytes) }); err != nil {
		_ = guarded(path, "close", b.Close)
		if s.mark != nil {
			_ = s.mark.Close()
		}
		return nil, halt.Wrap(openReason(err), path, fmt.Errorf("open the log: %w", err))
	}
	return s, nil
}

// openReason tells a file that cannot be opened from one that is damaged.
func openReason(err error) halt.Reason {
	if errors.Is(err, fs.ErrPermission) {
		return halt.Directory
	}
	if errors.Is(err, fs.ErrNotExist) {
		return halt.Damaged
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return halt.Log
	}
	return halt.Damaged
}

// recover reads the ends of the log and compares its end with the mark.
func (s *logStore) recover(markPath string, bytes int64) error {
	var at position
	var err error
	if s.mark, at, err = openMark(markPath); err != nil {
		return err
	}
	if s.first, err = s.backend.FirstIndex(); err != nil {
		return err
	}
	last, err := s.backend.LastIndex()
	if err != nil {
		return err
	}
	if at.index > last {
		return damaged(s.path, "the log ends at entry %d, but entry %d was stored", last, at.index)
	}
	if last == 0 {
		s.first = 0
		return nil
	}
	s.sizes.reset(s.first, last, bytes)
	var l raft.Log
	if at.index >= s.first {
		if err := s.read(at.index, &l); err != nil {
			return err
		}
		if end := endOf([]raft.Log{l}); end != at {
			return damaged(s.path, "entry %d has checksum %08x, stored was %08x", at.index, end.sum, at.sum)
		}
	}
	if err := s.read(last, &l); err != nil {
		return err
	}
	s.last = last
	return nil
}

// scan reads and verifies the entries from index on and takes up their
// configurations. raft reads them too when it starts; but here a damaged one
// is found before this node can vote.
func (s *logStore) scan(from uint64) error {
	for i := max(from, s.first); s.first != 0 && i <= s.last; i++ {
		var l raft.Log
		if err := guarded(s.path, "read the log", func() error { return s.read(i, &l) }); err != nil {
			return err
		}
		s.configs.note(&l)
		s.tail.add([]raft.Log{l})
	}
	return nil
}
