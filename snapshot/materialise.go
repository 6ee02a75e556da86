// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/record"
)

// rebuilt is the state at a content: the next one is mostly a delta to it.
type rebuilt struct {
	segment  uint64 // 0 for none
	position uint32
	state    []byte
}

// Materialise rebuilds a version of the agent and compares its size and its
// SHA-256. The result must not be changed: the next call may start from it.
// Errors match hawser.ErrCorrupt and hawser.ErrTooLarge, or are those of the
// reader below.
func (h *History) Materialise(v *Version) ([]byte, error) {
	state, err := h.rebuild(v.Segment, v.Position)
	if err != nil {
		return nil, err
	}
	if int64(len(state)) != v.Size {
		return nil, corruptItem("version %d has %d bytes, expected %d", v.Number, len(state), v.Size)
	}
	if got := hawser.Hash(sha256.Sum256(state)); got != v.SHA256 {
		return nil, corruptItem("version %d has SHA-256 %s, expected %s", v.Number, got, v.SHA256)
	}
	return state, nil
}

// rebuild returns the state at a content.
func (h *History) rebuild(segment uint64, position uint32) ([]byte, error) {
	path, err := h.path(segment, position)
	if err != nil {
		return nil, err
	}
	at := rebuilt{}
	for i, s := range slices.Backward(path) {
		if h.state.segment == s.segment && h.state.position == s.position {
			at, path = h.state, path[i+1:]
			break
		}
	}
	h.state = rebuilt{} // let go of it, should it not be needed
	for _, s := range path {
		state, err := h.apply(at, s)
		if err != nil {
			return nil, fmt.Errorf("content %d of segment %d: %w", s.position, s.segment, err)
		}
		at = rebuilt{s.segment, s.position, state}
	}
	h.state = at
	return at.state, nil
}

// apply returns the state after one more content.
func (h *History) apply(at rebuilt, s step) ([]byte, error) {
	c, err := h.load(s)
	if err != nil {
		return nil, err
	}
	if c.Kind == record.Keyframe {
		if at.segment != 0 {
			return nil, corruptItem("a keyframe within a chain")
		}
		return c.Decode(hawser.MaxStateSize)
	}
	if at.segment == 0 {
		return nil, corruptItem("a chain that does not start with a keyframe")
	}
	ops, err := c.Decode(math.MaxInt64)
	if err != nil {
		return nil, err
	}
	return delta.Apply(at.state, ops, hawser.MaxStateSize)
}

// mostParts is the most parts that a state of the longest size can have.
const mostParts = (hawser.MaxStateSize+hawser.MaxStateSize/256)/record.PartSize + 1

// load returns a content with all its data.
func (h *History) load(s step) (record.Content, error) {
	scan, err := h.open(s)
	if err != nil {
		return record.Content{}, err
	}
	item, _, err := scan.parsed()
	if err != nil {
		return record.Content{}, err
	}
	c, ok := item.(*Content)
	if !ok || c.Segment != s.segment || c.Position != s.position {
		return record.Content{}, corruptItem("it is not where it was")
	}
	if c.Parts > mostParts {
		return record.Content{}, corruptItem("it has %d parts, the most is %d", c.Parts, mostParts)
	}
	for i := range c.Parts {
		item, _, err := scan.parsed()
		if err != nil {
			return record.Content{}, fmt.Errorf("part %d of %d: %w", i, c.Parts, err)
		}
		part, ok := item.(*Part)
		if !ok || part.Index != i {
			return record.Content{}, corruptItem("part %d of %d is missing", i, c.Parts)
		}
		c.Data = append(c.Data, part.Data...)
	}
	return c.Content, nil
}

// open returns a scanner at a content.
func (h *History) open(s step) (*scanner, error) {
	offset := s.place.frame()
	f, err := h.cache.frame(h.archive, offset, s.end)
	if err != nil {
		return nil, err
	}
	return &scanner{a: h.archive, kind: frameAgent, next: f.next, end: s.end, payload: f.payload, frame: offset, at: s.place.at()}, nil
}
