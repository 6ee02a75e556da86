// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"slices"
	"sync"

	"github.com/hawserdb/hawser/internal/halt"
)

// roles are what the rig knows of its places that their processes do not tell.
type roles struct {
	size int // nodes that the cluster is to have

	mu     sync.Mutex // guards all below
	places []place
	// previously: all nodes run the previous version.
	previously bool
}

// place is where a node runs, or several, one after the other.
type place struct {
	// id of the node that was last known to be a voter here.
	id string
	// away: nothing is to run here.
	away bool
	// removed: the node here was, or is being, removed from the cluster.
	removed bool
	// damaged counts the damages of its files that may still be there.
	damaged int
	// renewed counts the nodes that have begun here with an empty disk.
	renewed int
	// risks counts the faults that take data from it, or may.
	risks int
	// replaced is the directory of the node that was here before, "" for none.
	replaced string
}

func newRoles(size, places int) *roles {
	r := &roles{size: size, places: make([]place, places)}
	for i := size; i < places; i++ {
		r.places[i].away = true
	}
	return r
}

// change changes what is known of a place.
func (r *roles) change(i int, change func(*place)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.places[i])
}

func (r *roles) get(i int) place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.places[i]
}

func (r *roles) isAway(i int) bool { return r.get(i).away }

// refusals are the exit codes with which a node may refuse damaged files, see
// docs/operations.md.
var refusals = []int{
	halt.Directory.ExitCode(), halt.Log.ExitCode(), halt.Stable.ExitCode(), halt.Engine.ExitCode(),
	halt.Damaged.ExitCode(), halt.Level.ExitCode(), halt.Diverged.ExitCode(),
}

// refusesWith reports whether a node that has ended with a code must not be
// started again with the files that it has.
func (p place) refusesWith(code int) bool {
	return p.removed && code == halt.Removed.ExitCode() || p.damaged > 0 && slices.Contains(refusals, code)
}

// risk claims nodes for a fault that takes data from them. Beyond a minority data
// may be lost, so it returns false when that many others are claimed. A fault of
// all nodes is one that takes nothing for good, and goes alone.
func (r *roles) risk(nodes []int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, all := 0, 0
	for i, p := range r.places[:r.size] {
		if p.risks > 0 {
			held++
		}
		if p.risks > 0 || slices.Contains(nodes, i) {
			all++
		}
	}
	if held > 0 && all > (r.size-1)/2 {
		return false
	}
	for _, i := range nodes {
		r.places[i].risks++
	}
	return true
}

func (r *roles) safe(nodes []int) {
	for _, i := range nodes {
		r.change(i, func(p *place) { p.risks-- })
	}
}

// atRisk returns a node that is claimed, -1 for none.
func (r *roles) atRisk() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.IndexFunc(r.places[:r.size], func(p place) bool { return p.risks > 0 })
}
