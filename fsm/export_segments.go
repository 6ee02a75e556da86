// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/snapshot"
)

// segments yields the contents that an agent needs and that were not yielded
// yet, in ascending order of the segments: a parent is older than its children.
func (x *exporter) segments(id hawser.AgentID, a agentRecord) error {
	needs, err := x.needs(id, a)
	if err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(needs)) {
		if err := x.segment(number, needs[number]); err != nil {
			return err
		}
	}
	return nil
}

// needs returns the segments that an agent's versions need, and up to which
// position.
func (x *exporter) needs(id hawser.AgentID, a agentRecord) (map[uint64]uint32, error) {
	needs := map[uint64]uint32{}
	var fresh []uint64
	need := func(at place) {
		position, known := needs[at.segment]
		if next, ok := x.shared[at.segment]; ok && at.position < next && !known {
			return
		}
		if !known {
			fresh = append(fresh, at.segment)
		}
		needs[at.segment] = max(position, at.position)
	}
	versions := uint64(0)
	s := scan{v: x.v}
	if err := s.newestFirst(id, a.floor+1, a.head, func(v candidate) bool {
		versions++
		need(v.at)
		return true
	}); err != nil {
		return nil, err
	}
	if versions != a.versions {
		return nil, damagedKey("agent", id, 0)
	}
	for len(fresh) > 0 {
		number := fresh[len(fresh)-1]
		fresh = fresh[:len(fresh)-1]
		rec, err := x.v.segment(place{number, needs[number]})
		if err != nil {
			return nil, err
		}
		if rec.parent.segment != 0 {
			need(rec.parent)
		}
	}
	return needs, nil
}

// segment yields the contents of a segment up to a position, but for those
// that were yielded with another agent.
func (x *exporter) segment(number uint64, last uint32) error {
	rec, err := x.v.segment(place{number, last})
	if err != nil {
		return err
	}
	from := rec.first
	if rec.shared {
		from = max(from, x.shared[number])
		x.shared[number] = last + 1
	}
	if err := x.emit(&snapshot.Segment{
		ID: number, Parent: rec.parent.segment, ParentPosition: rec.parent.position, First: rec.first, Shared: rec.shared,
	}); err != nil {
		return err
	}
	it, err := x.v.snap.Iter(contentKey(nil, number, from), append(contentKey(nil, number, last), 0))
	if err != nil {
		return err
	}
	position, key := from, []byte(nil)
	for ; err == nil && position <= last && it.Next(); position++ {
		if key = contentKey(key[:0], number, position); string(it.Key()) != string(key) {
			break
		}
		err = x.content(place{number, position}, it.Value())
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return err
	}
	if position <= last {
		return damagedPlace(place{number, position})
	}
	return nil
}

// content yields a stored content, and its parts.
func (x *exporter) content(at place, value []byte) error {
	content, err := record.ParseContent(value)
	if err == nil {
		err = checkInline(content)
	}
	if err != nil {
		return &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Msg: fmt.Sprintf("position %d of segment %d", at.position, at.segment), Err: err}
	}
	upload := content.Upload
	content.Upload = [16]byte{}
	if err := x.emit(&snapshot.Content{Segment: at.segment, Position: at.position, Content: content}); err != nil {
		return err
	}
	for index := range content.Parts {
		data, err := x.v.Part(upload, index)
		if err != nil {
			return fmt.Errorf("position %d of segment %d: %w", at.position, at.segment, err)
		}
		if err := x.emit(&snapshot.Part{Index: index, Data: data}); err != nil {
			return err
		}
	}
	return nil
}
