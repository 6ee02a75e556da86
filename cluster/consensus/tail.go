// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// tail holds the newest entries of the log in memory, so that followers that
// keep up cost no read. It is bounded by bytes. It holds copies of the
// entries' structs: raft's own cache keeps each entry's future, with its
// result, alive. It is safe for concurrent use.
type tail struct {
	max int64

	mu      sync.Mutex
	entries []raft.Log // consecutive indexes
	bytes   int64
}

// entryOverhead is what an entry costs in memory besides its data.
const entryOverhead = 128

func entryBytes(l *raft.Log) int64 { return int64(len(l.Data)) + entryOverhead }

// get copies entry index into out if it is held.
func (t *tail) get(index uint64, out *raft.Log) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 || index < t.entries[0].Index || index-t.entries[0].Index >= uint64(len(t.entries)) {
		return false
	}
	*out = t.entries[index-t.entries[0].Index]
	return true
}

// add appends entries, which follow each other. What does not follow the
// entries held replaces them.
func (t *tail) add(logs []raft.Log) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.entries); n > 0 && t.entries[n-1].Index+1 != logs[0].Index {
		t.clearLocked()
	}
	t.entries = append(t.entries, logs...)
	for i := range logs {
		t.bytes += entryBytes(&logs[i])
	}
	drop := 0
	for t.bytes > t.max && drop < len(t.entries) {
		t.bytes -= entryBytes(&t.entries[drop])
		t.entries[drop] = raft.Log{}
		drop++
	}
	t.entries = t.entries[drop:]
}

// remove drops every entry of [lo, hi], which is a prefix or a suffix of the
// log.
func (t *tail) remove(lo, hi uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 {
		return
	}
	first, last := t.entries[0].Index, t.entries[len(t.entries)-1].Index
	switch {
	case hi < first || lo > last:
	case lo > first:
		t.cutLocked(int(lo-first), len(t.entries))
	case hi < last:
		t.cutLocked(0, int(hi-first)+1)
	default:
		t.clearLocked()
	}
}

// cutLocked drops entries[i:j], which reaches one of the ends.
func (t *tail) cutLocked(i, j int) {
	for k := i; k < j; k++ {
		t.bytes -= entryBytes(&t.entries[k])
		t.entries[k] = raft.Log{}
	}
	if i == 0 {
		t.entries = t.entries[j:]
	} else {
		t.entries = t.entries[:i]
	}
}

func (t *tail) clearLocked() { t.entries, t.bytes = nil, 0 }

// size returns the bytes held.
func (t *tail) size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}
