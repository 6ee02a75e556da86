// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"

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
	// Keyframe is the size of the keyframe that the path starts with, which
	// tells how large the new one may be.
	Keyframe int64
	// Grows is set when the agent's head is in the segment, so that the next
	// save may go there.
	Grows bool
}

// Rewrites lists where the segments of an agent have dead weight before the
// oldest version that is there, if that version is one of this agent's. An
// agent that has no version has none.
func (v *View) Rewrites(id hawser.AgentID) ([]Rewrite, error) {
	a, err := v.agent(id)
	if errors.Is(err, hawser.ErrNotFound) || err == nil && a.live == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	recs, err := v.live(id, max(a.floor+1, a.oldest), a.head)
	if err != nil {
		return nil, err
	}
	var order []uint64
	lowest := map[uint64]*chainRecord{} // of each segment
	for _, rec := range recs {
		low, seen := lowest[rec.segment]
		if !seen {
			order = append(order, rec.segment)
		}
		if !seen || rec.position < low.position {
			lowest[rec.segment] = rec
		}
	}
	var rewrites []Rewrite
	for _, segment := range order {
		r, ok, err := v.rewrite(id, lowest[segment])
		if err != nil {
			return nil, err
		}
		if ok {
			r.Grows = recs[len(recs)-1].segment == segment
			rewrites = append(rewrites, r)
		}
	}
	return rewrites, nil
}

// rewrite weighs what is before a version, and reports whether that is dead
// and worth anything.
func (v *View) rewrite(id hawser.AgentID, rec *chainRecord) (Rewrite, bool, error) {
	s, err := v.segment(rec.place())
	if err != nil {
		return Rewrite{}, false, err
	}
	r := Rewrite{Agent: id, Number: rec.number, Segment: rec.segment, Position: rec.position, Stamp: s.stamp}
	for i, e := range s.entries {
		position := s.first + uint32(i)
		switch {
		case position < rec.position && e.refs > 0:
			return Rewrite{}, false, nil
		case position < rec.position:
			r.Dead += int64(e.bytes)
		case position == rec.position:
			r.Own = int64(e.bytes)
		default:
			r.Rest += int64(e.bytes)
		}
	}
	r.Keyframe = s.chain(rec.position).Keyframe
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

// AgentsAfter lists agents that have a version, in the order of their keys,
// over all namespaces: those after the given one, which may be zero, and at
// most limit of them (0 for hawser.DefaultPage, never more than
// hawser.MaxPage).
func (v *View) AgentsAfter(after hawser.AgentID, limit int) ([]hawser.AgentID, error) {
	lower := []byte{prefixAgent}
	if after != (hawser.AgentID{}) {
		lower = append(agentKey(nil, prefixAgent, after), 0)
	}
	it, err := v.snap.Iter(lower, []byte{prefixAgent + 1})
	if err != nil {
		return nil, err
	}
	var ids []hawser.AgentID
	for limit = page(limit); len(ids) < limit && it.Next(); {
		id, ok := splitAgentKey(it.Key())
		if !ok {
			return nil, errors.Join(damaged("agent", errMalformed), it.Close())
		}
		ids = append(ids, id)
	}
	return ids, it.Close()
}
