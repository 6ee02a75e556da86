// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"slices"
	"sort"
)

// held says where contents of a segment are: some consecutive ones, in one
// section.
type held struct {
	segment, parent uint64
	parentPosition  uint32
	first           uint32 // of the segment
	from, to        uint32 // positions that are here
	shared          bool
	section         span // the length is known when the section ends
}

// shared finds the sections that an agent needs beside its own. It remembers
// the segments of sections that hold a shared one; no other section is ever
// needed by somebody else.
type shared struct {
	known  map[uint64][]held // by segment, in the order of the file
	own    []held            // of the section being written, by segment
	wanted map[uint64]uint32 // contents that are not there, up to a position
}

func newShared() *shared {
	return &shared{known: map[uint64][]held{}, wanted: map[uint64]uint32{}}
}

// segment notes that contents of a segment follow.
func (s *shared) segment(g *Segment) {
	s.own = append(s.own, held{
		segment: g.ID, parent: g.Parent, parentPosition: g.ParentPosition, first: g.First, shared: g.Shared,
	})
	if g.Parent != 0 {
		s.refer(g.Parent, g.ParentPosition)
	}
}

// content notes a content of the last segment.
func (s *shared) content(c *Content) {
	last := &s.own[len(s.own)-1]
	if last.to == 0 && c.Position > last.first {
		s.want(c.Segment, c.Position-1) // goes on where an earlier section ends
	}
	if last.to == 0 {
		last.from = c.Position
	}
	last.to = c.Position + 1
}

// refer notes that a version or a segment of the agent needs a content.
func (s *shared) refer(segment uint64, position uint32) {
	i := sort.Search(len(s.own), func(i int) bool { return s.own[i].segment >= segment })
	if i < len(s.own) && s.own[i].segment == segment && position >= s.own[i].from && position < s.own[i].to {
		return
	}
	s.want(segment, position)
}

func (s *shared) want(segment uint64, position uint32) {
	s.wanted[segment] = max(s.wanted[segment], position)
}

// end ends the section and returns the others that it needs, in the order of
// the file.
func (s *shared) end(section span) ([]span, error) {
	var needs []span
	for segment, position := range s.wanted {
		var err error
		if needs, err = s.resolve(needs, segment, position); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(s.own, func(h held) bool { return h.shared }) {
		for _, h := range s.own {
			h.section = section
			s.known[h.segment] = append(s.known[h.segment], h)
		}
	}
	s.own = s.own[:0]
	clear(s.wanted)
	slices.SortFunc(needs, func(a, b span) int { return cmp.Compare(a.offset, b.offset) })
	needs = slices.Compact(needs)
	if len(needs) > maxNeeds {
		return nil, corruptItem("an agent shares contents with %d others, the most is %d", len(needs), maxNeeds)
	}
	return needs, nil
}

// resolve appends the sections that hold a content and what it is the delta to.
func (s *shared) resolve(needs []span, segment uint64, position uint32) ([]span, error) {
	for segment != 0 {
		holders := s.known[segment]
		next := position + 1
		if len(holders) > 0 {
			next = holders[0].first
		}
		for _, h := range holders {
			if h.from <= position {
				needs = append(needs, h.section)
				next = max(next, h.to)
			}
		}
		if len(holders) == 0 || next <= position {
			return nil, corruptItem("content %d of segment %d is needed, but no agent brought it", position, segment)
		}
		segment, position = holders[0].parent, holders[0].parentPosition
	}
	return needs, nil
}
