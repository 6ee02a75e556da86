// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"sync"
)

// registry knows everything that Close and Drop must end: connections, dials
// under way and cached clients. The zero value is ready.
type registry struct {
	mu      sync.Mutex
	closed  bool
	entries map[*entry]struct{}
	// running counts the goroutines and dials that Close waits for.
	running sync.WaitGroup
}

// entry is one thing to end.
type entry struct {
	nodeID string
	kind   kind
	// abort ends it at once, from any goroutine, without waiting.
	abort func()
}

// add registers e, unless the registry is closed or holds limit entries.
func (r *registry) add(e *entry, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.entries) >= limit {
		return false
	}
	if r.entries == nil {
		r.entries = map[*entry]struct{}{}
	}
	r.entries[e] = struct{}{}
	return true
}

// remove forgets e.
func (r *registry) remove(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.entries, e)
}

// begin announces work that Close waits for; done ends it. It returns false
// once the registry is closed.
func (r *registry) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Add(1)
	return true
}

func (r *registry) done() { r.running.Done() }

// abort ends every entry that match selects.
func (r *registry) abort(match func(*entry) bool) {
	for _, e := range r.matching(match) {
		e.abort()
	}
}

func (r *registry) matching(match func(*entry) bool) []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*entry
	for e := range r.entries {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

// close refuses everything new. It reports whether it was open.
func (r *registry) close() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.closed
	r.closed = true
	return !was
}
