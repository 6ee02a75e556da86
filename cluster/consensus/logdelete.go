// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// DeleteRange implements raft.LogStore for the two ranges that raft deletes: a
// prefix, after the machine was made durable, and a suffix that conflicts with
// the leader's log. A range that starts at the first index is a prefix, also
// when it is the whole log; of it, what keepFrom names is left. What must stay
// stays: the latch closes instead.
func (s *logStore) DeleteRange(lo, hi uint64) error {
	first, _ := s.bounds()
	if lo <= first && lo <= max(s.progress.Applied(), s.progress.Commit()) {
		keep := s.keepFrom.Load()
		if keep <= lo {
			return s.latch.Err()
		}
		hi = min(hi, keep-1)
	}
	return s.remove(lo, hi)
}

// remove deletes a prefix, a suffix or all.
func (s *logStore) remove(lo, hi uint64) error {
	s.reads.Lock()
	defer s.reads.Unlock()
	s.mu.Lock()
	first, last := s.first, s.last
	s.mu.Unlock()
	hi = min(hi, last)
	if first == 0 || lo > hi || hi < first {
		return s.latch.Err()
	}
	lo = max(lo, first)
	what := fmt.Sprintf("delete entries %d to %d", lo, hi)
	err := s.latch.do(halt.Log, s.path, what, func() error {
		if err := s.mayDelete(lo, hi, first); err != nil {
			return err
		}
		if err := s.lowerMark(lo, hi, first, last); err != nil {
			return err
		}
		return s.backend.DeleteRange(lo, hi)
	})
	if err != nil {
		return err
	}
	return s.deleted(lo, hi)
}

// mayDelete returns an error if [lo, hi] holds what must stay.
//
// Invariant: an entry that is committed, applied or covered by an installed
// snapshot is removed only from the front, and only if the machine would have
// it after a power cut.
func (s *logStore) mayDelete(lo, hi, first uint64) error {
	s.mu.Lock()
	installed := s.installed.index
	s.mu.Unlock()
	needed := max(s.progress.Applied(), s.progress.Commit())
	if keep := max(needed, installed); lo > keep {
		return nil
	}
	if lo != first {
		return fmt.Errorf("refused: entries up to %d are committed, applied or in a snapshot", max(needed, installed))
	}
	durable, err := s.progress.Durable()
	if err != nil {
		return err
	}
	if lost := min(hi, needed); lost > durable {
		return fmt.Errorf("refused: the machine is durable only up to %d", durable)
	}
	return nil
}

// lowerMark makes the mark agree with what is left, before it is all that is.
func (s *logStore) lowerMark(lo, hi, first, last uint64) error {
	if hi < last {
		return nil
	}
	if lo == first {
		return s.mark.lower(position{})
	}
	var end raft.Log
	if !s.tail.get(lo-1, &end) {
		if err := s.read(lo-1, &end); err != nil {
			return err
		}
	}
	return s.mark.lower(endOf([]raft.Log{end}))
}

// deleted accounts for the removal of [lo, hi].
func (s *logStore) deleted(lo, hi uint64) error {
	s.tail.remove(lo, hi)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case lo == s.first && hi >= s.last:
		s.first, s.last = 0, 0
		s.sizes.reset(0, 0, 0)
		s.configs.truncate(lo)
	case lo == s.first:
		s.first = hi + 1
		s.sizes.removePrefix(hi)
	default:
		s.last = lo - 1
		s.sizes.removeSuffix(lo)
		s.configs.truncate(lo)
	}
	return nil
}

// reset empties the log after the machine was swapped to snapshot id, with its
// configuration. It reports whether the log ended at or after the snapshot:
// then raft's memory of the log's end is stale and raft must be restarted.
func (s *logStore) reset(id entryID, conf configMark) (stale bool, err error) {
	s.mu.Lock()
	first, last := s.first, s.last
	s.installed = id
	s.mu.Unlock()
	if first != 0 {
		if err := s.remove(first, last); err != nil {
			return false, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configs = configs{conf}
	return last >= id.index, nil
}

// holds reports whether the log or the installed snapshot has entry id.
func (s *logStore) holds(id entryID) bool {
	s.mu.Lock()
	installed := s.installed
	s.mu.Unlock()
	if id == installed {
		return true
	}
	var l raft.Log
	return s.get(id.index, &l) == nil && l.Term == id.term
}
