// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"iter"

	"github.com/hawserdb/hawser"
)

// Change is what became of an agent from one archive to another.
type Change struct {
	ID hawser.AgentID
	// Old and New are nil where the agent has no live version. When both are
	// there, their heads differ.
	Old, New *Entry
}

// Diff compares the tables of two archives and returns the agents that were
// added, removed or changed, in ascending order. An agent has changed when its
// head has another number or another content; that versions below it were
// removed is no change. Nothing but the tables is read. The sequence ends with
// its first error.
func Diff(from, to *Archive) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		before, stopBefore := iter.Pull2(live(from))
		defer stopBefore()
		after, stopAfter := iter.Pull2(live(to))
		defer stopAfter()
		old, oldErr, oldOK := before()
		next, nextErr, nextOK := after()
		for oldOK || nextOK {
			if oldErr != nil || nextErr != nil {
				yield(Change{}, firstOf(oldErr, nextErr))
				return
			}
			change, tookOld, tookNew := compare(old, oldOK, next, nextOK)
			if (change.Old != nil || change.New != nil) && !yield(change, nil) {
				return
			}
			if tookOld {
				old, oldErr, oldOK = before()
			}
			if tookNew {
				next, nextErr, nextOK = after()
			}
		}
	}
}

// compare takes the lower of two entries, or both if they are of one agent.
func compare(old Entry, oldOK bool, next Entry, nextOK bool) (c Change, tookOld, tookNew bool) {
	switch {
	case !nextOK || oldOK && key(old.ID) < key(next.ID):
		return Change{ID: old.ID, Old: &old}, true, false
	case !oldOK || key(old.ID) > key(next.ID):
		return Change{ID: next.ID, New: &next}, false, true
	case old.Live == next.Live && old.Fingerprint == next.Fingerprint:
		return Change{}, true, true
	}
	return Change{ID: old.ID, Old: &old, New: &next}, true, true
}

// live returns the agents that have a version.
func live(a *Archive) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range a.Agents("", "") {
			if (err != nil || e.Live != 0) && !yield(e, err) {
				return
			}
		}
	}
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
