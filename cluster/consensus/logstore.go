// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// backend is the log under a logStore.
type backend interface {
	raft.LogStore
	io.Closer
	// IsMonotonic: the log takes consecutive indexes only.
	IsMonotonic() bool
}

// logStore is raft's log: a backend with checksums, a tail in memory, a mark
// at its end, and guards against removing what must stay.
//
// Its methods may be called concurrently as raft does: one writer, many
// readers, and prefix deletion beside both.
type logStore struct {
	backend
	path  string // for messages
	latch *latch
	mark  *mark
	tail  tail
	sizes sizes
	// progress tells what the log may not lose.
	progress logProgress
	// onConfiguration is told when the latest configuration changed.
	onConfiguration func()
	// keepFrom is the first entry that a truncation of the front must leave.
	// raft counts back from where the log ends when it truncates, which is
	// not where it ended when we decided.
	keepFrom atomic.Uint64
	// appends counts calls that stored entries; pace is how long they take.
	appends atomic.Uint64
	pace    pace

	// reads is held shared by reads of the backend and exclusively by
	// deletions: raft-wal may close a file under a reader that comes just as
	// the file's segment is deleted.
	reads sync.RWMutex

	mu        sync.Mutex
	first     uint64  // 0 if the log is empty
	last      uint64  // 0 if the log is empty
	installed entryID // the snapshot that was installed last
	configs   configs
}

// logProgress is what a logStore asks of its replica.
type logProgress interface {
	// Applied returns the index that the machine applied.
	Applied() uint64
	// Durable returns the index that the machine would have after a power cut.
	Durable() (uint64, error)
	// Commit returns the index that raft knows to be committed.
	Commit() uint64
	// IsLeader reports whether entries may be read to be sent to others.
	IsLeader() bool
}

// entryID names an entry: there is only one with this index and term.
type entryID struct{ index, term uint64 }

var _ raft.MonotonicLogStore = (*logStore)(nil)

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.latch.Err()
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.latch.Err()
}

// GetLog implements raft.LogStore. Entries from the disk are verified; those
// held in memory were when they were stored. A missing entry is exactly
// raft.ErrLogNotFound.
//
// On a replica that does not lead, the entry of the installed snapshot's index
// is answered even if the log does not hold it (raft#697: raft could not
// compare its term and would ask for the snapshot again, for ever). That
// answer carries no checksum, so it can never be sent to or stored by another.
func (s *logStore) GetLog(index uint64, out *raft.Log) error {
	err := s.get(index, out)
	if err != nil && err != raft.ErrLogNotFound { //nolint:errorlint // raft's contract is identity
		return s.latch.park(err)
	}
	s.mu.Lock()
	installed := s.installed
	s.mu.Unlock()
	if index != installed.index || index == 0 || s.progress.IsLeader() {
		return err
	}
	if err != nil || out.Term != installed.term {
		*out = raft.Log{Index: installed.index, Term: installed.term, Type: raft.LogNoop}
	}
	return nil
}

// get reads what the log really holds.
func (s *logStore) get(index uint64, out *raft.Log) error {
	if err := s.latch.Err(); err != nil {
		return err
	}
	if s.tail.get(index, out) {
		return nil
	}
	s.reads.RLock()
	defer s.reads.RUnlock()
	s.mu.Lock()
	first, last := s.first, s.last
	s.mu.Unlock()
	if first == 0 || index < first || index > last {
		return raft.ErrLogNotFound
	}
	return s.latch.do(halt.Log, s.path, fmt.Sprintf("read entry %d", index), func() error { return s.read(index, out) })
}

// read reads an entry that the backend must have.
func (s *logStore) read(index uint64, out *raft.Log) error {
	if err := s.backend.GetLog(index, out); err != nil {
		if _, ok := errors.AsType[syscall.Errno](err); ok {
			return err
		}
		return damaged(s.path, "entry %d: %w", index, err)
	}
	if out.Index != index {
		return damaged(s.path, "entry %d: found entry %d in its place", index, out.Index)
	}
	if err := verifyEntry(out); err != nil {
		return damaged(s.path, "%w", err)
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. Entries without a checksum, which only
// the leader's own have, get one; the others are verified. The entries given
// are not changed or kept, only their data is.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	var copies []raft.Log
	defer s.pace.begin()()
	err := s.latch.do(halt.Log, s.path, fmt.Sprintf("append entries from %d", logs[0].Index), func() error {
		var err error
		if copies, err = s.seal(logs, last); err != nil {
			return err
		}
		pointers := make([]*raft.Log, len(copies))
		for i := range copies {
			pointers[i] = &copies[i]
		}
		if err := s.backend.StoreLogs(pointers); err != nil {
			return err
		}
		return s.mark.raise(endOf(copies))
	})
	if err != nil {
		return err
	}
	s.stored(copies)
	return nil
}

// seal returns copies of logs that carry a checksum, after checking that they
// may follow last.
func (s *logStore) seal(logs []*raft.Log, last uint64) ([]raft.Log, error) {
	if applied := s.progress.Applied(); last == 0 && logs[0].Index > applied+1 {
		return nil, fmt.Errorf("entry %d leaves a gap: the machine applied %d and the log is empty", logs[0].Index, applied)
	}
	copies := make([]raft.Log, len(logs))
	extensions := make([]byte, 0, len(logs)*extensionSize)
	for i, l := range logs {
		if last != 0 && l.Index != last+1 {
			return nil, fmt.Errorf("entry %d does not follow entry %d", l.Index, last)
		}
		last = l.Index
		copies[i] = *l
		if len(l.Extensions) != 0 {
			if err := verifyEntry(l); err != nil {
				return nil, fmt.Errorf("before it was stored: %w", err)
			}
			continue
		}
		extensions = appendExtension(extensions, entryChecksum(l))
		copies[i].Extensions = extensions[len(extensions)-extensionSize : len(extensions) : len(extensions)]
	}
	return copies, nil
}

// endOf returns the position of the last of logs, which carry checksums.
func endOf(logs []raft.Log) position {
	l := &logs[len(logs)-1]
	sum, err := storedChecksum(l)
	if err != nil {
		sum = entryChecksum(l)
	}
	return position{index: l.Index, sum: sum}
}

// stored accounts for entries that are durable.
func (s *logStore) stored(logs []raft.Log) {
	var bytes int64
	for i := range logs {
		bytes += entryBytes(&logs[i])
	}
	s.tail.add(logs)
	s.sizes.add(logs[len(logs)-1].Index, bytes)
	s.appends.Add(1)
	s.mu.Lock()
	before := s.configs.latest().index
	if s.first == 0 {
		s.first = logs[0].Index
	}
	s.last = logs[len(logs)-1].Index
	for i := range logs {
		s.configs.note(&logs[i])
	}
	changed := s.configs.latest().index != before
	s.mu.Unlock()
	if changed && s.onConfiguration != nil {
		s.onConfiguration()
	}
}

// configurationCommitted forgets what came before the configuration of index.
func (s *logStore) configurationCommitted(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configs.committed(index)
}

// configuration returns the latest configuration.
func (s *logStore) configuration() configMark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.configs.latest()
}

// bounds returns the first and the last index, 0 if the log is empty.
func (s *logStore) bounds() (first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.last
}

// IsMonotonic implements raft.MonotonicLogStore.
func (s *logStore) IsMonotonic() bool { return s.backend.IsMonotonic() }

// Close closes the files. No other call may be running.
func (s *logStore) Close() error {
	return errors.Join(guarded(s.path, "close", s.backend.Close), s.mark.Close())
}
