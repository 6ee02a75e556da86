// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"math"
	"sync"
	"time"
)

// HoldTime is how long a call of [Replica.Hold] keeps the log.
const HoldTime = 30 * time.Second

// maxHolds bounds how many members hold log at once.
const maxHolds = 256

// holds are the entries that members asked to keep while they fetch a
// checkpoint. It is safe for concurrent use; the zero value is ready.
type holds struct {
	mu   sync.Mutex
	held map[string]hold // by member
}

type hold struct {
	from  uint64
	until time.Time
}

func (h *holds) set(member string, held hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[string]hold{}
	}
	if _, known := h.held[member]; known || len(h.held) < maxHolds {
		h.held[member] = held
	}
}

// lowest returns the lowest entry that is held at now, MaxUint64 for none.
func (h *holds) lowest(now time.Time) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	lowest := uint64(math.MaxUint64)
	for member, held := range h.held {
		if now.After(held.until) {
			delete(h.held, member)
			continue
		}
		lowest = min(lowest, held.from)
	}
	return lowest
}

// Hold keeps the log from entry index on for the member, which fetches a
// checkpoint, for [HoldTime]; all that there is for 0. A later call replaces an
// earlier one. The log that is kept is bounded as for any member that is
// behind. It works on a replica that does not lead too, which may lead later.
func (r *Replica) Hold(member string, index uint64) {
	first, _ := r.logs.bounds()
	r.holds.set(member, hold{from: max(first, index), until: time.Now().Add(HoldTime)})
	// A truncation that was decided on before must not go past it.
	for {
		keep := r.logs.keepFrom.Load()
		if next := r.keepFrom(); next >= keep || r.logs.keepFrom.CompareAndSwap(keep, next) {
			return
		}
	}
}

// Reach returns the ends of the log: an entry from first on can be sent to
// others. first is 0 for an empty log; last is then that of the machine.
func (r *Replica) Reach() (first, last uint64) {
	first, last = r.logs.bounds()
	return first, max(last, r.appliedIndex())
}
