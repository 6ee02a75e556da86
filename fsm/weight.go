// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"cmp"
	"errors"
	"slices"

	"github.com/hawserdb/hawser"
)

// Rewrite is a place where a keyframe, put there by a [Replace], would free
// what lies before it.
type Rewrite struct {
	// Agent and Number name the version at the place.
	Agent  hawser.AgentID
	Number uint64
	// Segment, Position and Stamp are those of the Replace.
	Segment  uint64
	Position uint32
	Stamp    uint64
	// Dead is what nothing but the version's own path needs any more, in stored
	// bytes, Own what is at the place now and Rest what follows it in the segment.
	Dead, Own, Rest int64
	// Keyframe is about how large the new keyframe becomes: as the one that the
	// path starts with, but no larger than the state.
	Keyframe int64
	// Grows is set when the agent's head is in the segment, so that the next
	// save may go there.
	Grows bool
}

// maxRewriteReads is how many records one [View.Rewrites] reads.
const maxRewriteReads = 10_000

// Rewrites lists where the segments of an agent have dead weight before the
// oldest version that is there, if that version is one of this agent's. It looks
// at the numbers below before, 0 for all, newest first, stops after 10,000 records
// and returns what to go on before, 0 for the end. An agent that has no version has none.
func (v *View) Rewrites(id hawser.AgentID, before uint64) (rewrites []Rewrite, next uint64, err error) {
	return v.rewrites(id, before, maxRewriteReads)
}

func (v *View) rewrites(id hawser.AgentID, before uint64, reads int) (rewrites []Rewrite, next uint64, err error) {
	a, err := v.agent(id)
	if errors.Is(err, hawser.ErrNotFound) || err == nil && a.live == 0 {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	from, to := max(a.floor+1, a.oldest), a.head
	if before != 0 {
		to = min(to, before-1)
	}
	if from > to {
		return nil, 0, nil
	}
	head, err := v.chain(id, a.live)
	if err != nil {
		return nil, 0, err
	}
	order, next, err := v.lowest(id, from, to, reads)
	if err != nil {
		return nil, 0, err
	}
	for _, low := range order {
		r, ok, err := v.rewrite(id, low)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			r.Grows = head.segment == r.Segment
			rewrites = append(rewrites, r)
		}
	}
	return rewrites, next, nil
}

// lowest returns the lowest live version of each segment among the numbers from
// to to, the segments of the oldest numbers first, and what to go on before if it
// stopped after so many reads. That there is one still lower elsewhere, rewrite
// sees.
func (v *View) lowest(id hawser.AgentID, from, to uint64, reads int) (order []candidate, next uint64, err error) {
	index := map[uint64]int{}
	s := scan{v: v}
	err = s.newestFirst(id, from, to, func(c candidate) bool {
		if s.reads > reads {
			next = c.number + 1
			return false
		}
		i, seen := index[c.at.segment]
		switch {
		case c.bad:
		case !seen:
			index[c.at.segment] = len(order)
			order = append(order, c)
		case c.at.position <= order[i].at.position:
			order[i] = c
		}
		return true
	})
	slices.SortFunc(order, func(a, b candidate) int { return cmp.Compare(a.number, b.number) })
	return order, next, err
}

// rewrite weighs what is before a version, and reports whether that is dead
// and worth anything.
func (v *View) rewrite(id hawser.AgentID, low candidate) (Rewrite, bool, error) {
	s, err := v.segment(low.at)
	if err != nil {
		return Rewrite{}, false, err
	}
	r := Rewrite{Agent: id, Number: low.number, Segment: low.at.segment, Position: low.at.position, Stamp: s.stamp}
	for i, e := range s.entries {
		position := s.first + uint32(i)
		switch {
		case position < low.at.position && e.refs > 0:
			return Rewrite{}, false, nil
		case position < low.at.position:
			r.Dead += int64(e.bytes)
		case position == low.at.position:
			r.Own = int64(e.bytes)
		default:
			r.Rest += int64(e.bytes)
		}
	}
	r.Keyframe = int64(min(uint64(s.chain(low.at.position).Keyframe), low.size))
	above, err := v.weightAbove(s.parent)
	r.Dead += above
	return r, r.Dead > 0, err
}

// weightAbove is what goes when the one reference to a place goes: as the
// machine releases it.
func (v *View) weightAbove(at place) (bytes int64, err error) {
	for at.segment != 0 {
		s, err := v.segment(at)
		if err != nil {
			return 0, err
		}
		if at.position != s.tip() || s.entries[len(s.entries)-1].refs > 1 {
			return bytes, nil
		}
		left := len(s.entries)
		for left > 0 && (left == len(s.entries) || s.entries[left-1].refs == 0) {
			left--
			bytes += int64(s.entries[left].bytes)
		}
		if left > 0 {
			return bytes, nil
		}
		at = s.parent
	}
	return bytes, nil
}
