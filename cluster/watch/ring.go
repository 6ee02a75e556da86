// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"sort"

	"github.com/hawserdb/hawser"
)

// ring holds the newest events, oldest first. It grows up to its limit.
type ring struct {
	limit  int
	events []hawser.Event
	start  int // of the oldest, once it is full
	// floor: all events of revisions above it, up to what was added, are here.
	floor hawser.Revision
	// added counts the events ever added.
	added uint64
}

func (r *ring) len() int { return len(r.events) }

// at returns the i-th oldest event.
func (r *ring) at(i int) *hawser.Event { return &r.events[(r.start+i)%len(r.events)] }

// add adds an event, for which the oldest one goes when the ring is full.
func (r *ring) add(e hawser.Event) {
	r.added++
	if len(r.events) < r.limit {
		r.events = append(r.events, e)
		return
	}
	r.floor = max(r.floor, r.events[r.start].Revision)
	r.events[r.start] = e
	r.start = (r.start + 1) % len(r.events)
}

// clear empties the ring: what comes is above floor.
func (r *ring) clear(floor hawser.Revision) {
	clear(r.events)
	r.events, r.start, r.floor = r.events[:0], 0, floor
}

// after returns the index of the first event above a revision.
func (r *ring) after(revision hawser.Revision) int {
	return sort.Search(len(r.events), func(i int) bool { return r.at(i).Revision > revision })
}
