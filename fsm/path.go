// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Path is what a version is rebuilt from.
type Path struct {
	// Places are those of a keyframe and the deltas to apply to it, oldest first.
	// [View.ContentAt] returns what is there.
	Places []Place
	// Chain sums them up as the chain rule does, which may not have noticed
	// that a keyframe was put in between.
	Chain record.Chain
}

// Place is where a content is.
type Place struct {
	Segment  uint64
	Position uint32
}

// Path returns a version with what it is rebuilt from; number 0 is the head.
// It reads no contents. Errors are those of Version, and hawser.ErrCorrupt for a
// version that was marked bad.
func (v *View) Path(id hawser.AgentID, number uint64) (hawser.Version, Path, error) {
	rec, err := v.version(id, number)
	if err != nil {
		return hawser.Version{}, Path{}, err
	}
	if rec.state != hawser.VersionLive {
		return hawser.Version{}, Path{}, badVersion(id, rec)
	}
	s, err := v.segment(rec.place())
	if err != nil {
		return hawser.Version{}, Path{}, err
	}
	way, err := v.way(rec.place())
	if err != nil {
		return hawser.Version{}, Path{}, err
	}
	path := Path{Places: make([]Place, len(way)), Chain: s.chain(rec.position)}
	for i, at := range way {
		path.Places[i] = Place{Segment: at.segment, Position: at.position}
	}
	return rec.version(id), path, nil
}

// segment returns the segment of a place that must be there.
func (v *View) segment(at place) (segmentRecord, error) {
	rec, ok, err := readSegment(v.snap, segmentKey(nil, at.segment))
	if err == nil && (!ok || rec.entry(at.position) == nil) {
		err = damagedPlace(at)
	}
	return rec, err
}

func checkInline(content record.Content) error {
	if content.Parts == 0 && record.Checksum(content.Data) != content.CRC32C {
		return errors.New("checksum does not match")
	}
	return nil
}

// Load returns c with its Data, checked against the checksum. It holds all of
// them in memory. Errors match hawser.ErrCorrupt, also for a part that is
// missing.
func (v *View) Load(c record.Content) (record.Content, error) {
	if c.Parts == 0 {
		return c, nil
	}
	c.Data = make([]byte, 0, min(uint64(c.Parts), maxParts)*partSize)
	for index := range c.Parts {
		part, err := v.loadPart(c.Upload, index)
		if err != nil {
			return record.Content{}, err
		}
		c.Data = append(c.Data, part...)
	}
	if record.Checksum(c.Data) != c.CRC32C {
		return record.Content{}, uploadError(hawser.CodeCorrupt, c.Upload, "the parts together do not match their checksum")
	}
	return c, nil
}

// Materialise rebuilds a version and compares its SHA-256; number 0 is the
// head. Two states are in memory at a time. Errors are those of Path, and
// hawser.ErrCorrupt for what cannot be rebuilt.
func (v *View) Materialise(id hawser.AgentID, number uint64) (hawser.Version, []byte, error) {
	rec, err := v.version(id, number)
	if err != nil {
		return hawser.Version{}, nil, err
	}
	if rec.state != hawser.VersionLive {
		return hawser.Version{}, nil, badVersion(id, rec)
	}
	b := &rebuilder{v: v}
	if _, err = b.verify(rec, true); errors.Is(err, hawser.ErrCorrupt) {
		err = corruptVersion(id, rec, err)
	}
	if err != nil {
		return hawser.Version{}, nil, err
	}
	return rec.version(id), b.state, nil
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	Segment uint64
	// Stamp changes whenever a content of the segment goes or is replaced.
	Stamp uint64
	// Shared is set when an agent was forked from a version in it.
	Shared bool
	// Parent and ParentPosition are what the content at First is the
	// difference to; 0 when that is a keyframe.
	Parent         uint64
	ParentPosition uint32
	// First and Tip are the positions of the first and the last entry.
	First, Tip uint32
	Entries    []SegmentEntry
}

// SegmentEntry describes one content of a segment.
type SegmentEntry struct {
	// Refs counts the versions there and the segments that start from it.
	Refs uint64
	// Bytes are those stored.
	Bytes uint64
}

// Segment describes a segment, and reports whether there is one.
func (v *View) Segment(segment uint64) (SegmentInfo, bool, error) {
	rec, ok, err := readSegment(v.snap, segmentKey(nil, segment))
	if err != nil || !ok {
		return SegmentInfo{}, false, err
	}
	info := SegmentInfo{
		Segment: segment, Stamp: rec.stamp, Shared: rec.shared, Parent: rec.parent.segment, ParentPosition: rec.parent.position,
		First: rec.first, Tip: rec.tip(), Entries: make([]SegmentEntry, len(rec.entries)),
	}
	for i, e := range rec.entries {
		info.Entries[i] = SegmentEntry{Refs: e.refs, Bytes: e.bytes}
	}
	return info, true, nil
}
