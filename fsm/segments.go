// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/hawserdb/hawser/internal/record"
)

// place is where a content is: a position of a segment. No segment has number
// 0, so the zero place is none.
type place struct {
	segment  uint64
	position uint32
}

// segmentRecord is what the machine keeps of a segment: contents at
// consecutive positions, each the difference to the one before. The first is a
// keyframe or, when the segment has a parent, the difference to the parent.
type segmentRecord struct {
	// shared is set for good when an agent is forked from a version in it.
	shared bool
	// parent is the place that the first content is the difference to.
	parent place
	// base sums up the path to the parent as it was when the segment was made;
	// a [Replace] may have shortened it since.
	base record.Chain
	// first is the position of the first entry.
	first uint32
	// stamp counts the contents that were removed or replaced.
	stamp uint64
	// Invariant: there is an entry, and the last one has a reference, unless an
	// archive is being restored.
	entries []segmentEntry
}

// segmentEntry is one content.
type segmentEntry struct {
	// refs counts the versions at the place and the segments that start from it.
	refs uint64
	// bytes is the length of the content as stored.
	bytes uint64
	// upload holds the bytes, nil when they are in the content itself.
	upload *[16]byte
}

const (
	segmentShared = 1 << iota
	segmentChild
	segmentLoose
	segmentFlags = segmentShared | segmentChild | segmentLoose
)

func (s *segmentRecord) append(dst []byte) []byte {
	flags := byte(0)
	if s.shared {
		flags |= segmentShared
	}
	if s.parent.segment != 0 {
		flags |= segmentChild
	}
	if s.entries[len(s.entries)-1].refs == 0 {
		flags |= segmentLoose
	}
	dst = append(dst, storedFormat, flags)
	if s.parent.segment != 0 {
		for _, v := range [...]uint64{
			s.parent.segment, uint64(s.parent.position), uint64(s.base.Keyframe), uint64(s.base.Deltas), uint64(s.base.DeltaBytes),
		} {
			dst = binary.AppendUvarint(dst, v)
		}
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(s.first)), s.stamp)
	dst = binary.AppendUvarint(dst, uint64(len(s.entries)))
	for _, e := range s.entries {
		dst = binary.AppendUvarint(dst, e.refs)
		if e.upload == nil {
			dst = binary.AppendUvarint(dst, e.bytes<<1)
		} else {
			dst = append(binary.AppendUvarint(dst, e.bytes<<1|1), e.upload[:]...)
		}
	}
	return dst
}

func parseSegment(b []byte) (segmentRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return segmentRecord{}, errMalformed
	}
	flags := r.byte()
	s := segmentRecord{shared: flags&segmentShared != 0}
	if flags&segmentChild != 0 {
		s.parent = place{segment: r.uvarint(), position: r.uint32()}
		s.base = record.Chain{Keyframe: r.int63(), Deltas: int(r.uint32()), DeltaBytes: r.int63()}
		if s.parent.segment == 0 {
			r.fail()
		}
	}
	s.first, s.stamp = r.uint32(), r.uvarint()
	entries := r.count(2)
	s.entries = make([]segmentEntry, entries, max(entries, record.MaxChain))
	for i := range s.entries {
		e := &s.entries[i]
		e.refs, e.bytes = r.uvarint(), r.uvarint()
		if e.bytes&1 != 0 {
			upload := r.upload()
			e.upload = &upload
		}
		e.bytes >>= 1
	}
	n := len(s.entries)
	if flags&^segmentFlags != 0 || n == 0 || (s.entries[n-1].refs == 0) != (flags&segmentLoose != 0) || uint64(s.first)+uint64(n)-1 > math.MaxUint32 {
		r.fail()
	}
	return s, r.end()
}

// tip is the position of the last entry.
func (s *segmentRecord) tip() uint32 { return s.first + uint32(len(s.entries)-1) }

// entry returns the entry of a position, nil when there is none.
func (s *segmentRecord) entry(position uint32) *segmentEntry {
	if position < s.first || uint64(position-s.first) >= uint64(len(s.entries)) {
		return nil
	}
	return &s.entries[position-s.first]
}

// chain sums up the path to a position of s. The chain rule goes by it.
func (s *segmentRecord) chain(position uint32) record.Chain {
	chain := s.base
	for i, e := range s.entries[:position-s.first+1] {
		if i == 0 && s.parent.segment == 0 {
			chain.Keyframe = int64(e.bytes)
			continue
		}
		chain.Deltas++
		chain.DeltaBytes += int64(e.bytes)
	}
	return chain
}

// segment is a segment while a batch is applied.
type segment struct {
	segmentRecord
	number uint64
	// stored is set when the engine or the batch has a record of it.
	stored, changed bool
	one             [1]segmentEntry
}

// segment returns a segment as the batch has left it so far, nil when there is
// none.
func (c *changes) segment(number uint64) (*segment, error) {
	if s, ok := c.segments[number]; ok {
		if len(s.entries) == 0 {
			return nil, nil //nolint:nilnil // nil says that there is none, as documented
		}
		return s, nil
	}
	c.key = segmentKey(c.key[:0], number)
	rec, ok, err := readSegment(c.src, c.key)
	if err != nil || !ok {
		return nil, err
	}
	s := &segment{segmentRecord: rec, number: number, stored: true}
	c.addSegment(s)
	return s, nil
}

func readSegment(src source, key []byte) (segmentRecord, bool, error) {
	value, ok, err := src.Get(key)
	if err != nil || !ok {
		return segmentRecord{}, false, err
	}
	rec, err := parseSegment(value)
	if err != nil {
		return segmentRecord{}, false, damaged(fmt.Sprintf("segment %x", key[1:]), err)
	}
	return rec, true, nil
}

func (c *changes) addSegment(s *segment) {
	if c.segments == nil {
		c.segments = make(map[uint64]*segment)
	}
	c.segments[s.number] = s
	c.segmentOrder = append(c.segmentOrder, s)
}

// place returns the segment and the entry of a place that must be there.
func (c *changes) place(at place) (*segment, *segmentEntry, error) {
	s, err := c.segment(at.segment)
	if err != nil {
		return nil, nil, err
	}
	if s != nil {
		if e := s.entry(at.position); e != nil {
			return s, e, nil
		}
	}
	return nil, nil, damagedPlace(at)
}

func damagedPlace(at place) error {
	return damaged(fmt.Sprintf("position %d of segment %d", at.position, at.segment), errMalformed)
}

// newSegment stores the first content of a new segment, which has one
// reference.
func (c *changes) newSegment(parent place, base record.Chain, content stored) place {
	c.state.segments++
	s := &segment{segmentRecord: segmentRecord{parent: parent, base: base}, number: c.state.segments, changed: true}
	s.one[0] = content.entry()
	s.entries = s.one[:]
	c.addSegment(s)
	at := place{segment: s.number}
	c.putContent(at, content)
	return at
}

// extend stores the content after the tip of s, with one reference.
func (c *changes) extend(s *segment, content stored) place {
	s.entries = append(s.entries, content.entry())
	s.changed = true
	at := place{segment: s.number, position: s.tip()}
	c.putContent(at, content)
	return at
}

func (c *changes) putContent(at place, content stored) {
	c.key = contentKey(c.key[:0], at.segment, at.position)
	if content.upload != nil {
		c.value = record.AppendContent(c.value[:0], content.Content)
		c.batch.Set(c.key, c.value)
		c.takeUpload(content.upload)
		return
	}
	c.value = record.AppendHeader(c.value[:0], content.Content)
	c.batch.Set(c.key, c.value, content.Data)
}

// dropContent removes the bytes of an entry.
func (c *changes) dropContent(at place, e *segmentEntry) {
	c.key = contentKey(c.key[:0], at.segment, at.position)
	c.batch.Delete(c.key)
	if e.upload != nil {
		c.dropParts(*e.upload)
	}
}

// refer adds a reference to a place.
func (c *changes) refer(at place) error {
	s, e, err := c.place(at)
	if err != nil {
		return err
	}
	e.refs++
	s.changed = true
	return nil
}

// release takes a reference from a place. Contents that nobody needs any more
// go from the tip down; a segment that is thereby empty goes too, and with it
// the reference that it held to its parent.
func (c *changes) release(at place) error {
	for at.segment != 0 {
		s, e, err := c.place(at)
		if err != nil {
			return err
		}
		if e.refs == 0 {
			return damagedPlace(at)
		}
		e.refs--
		s.changed = true
		for len(s.entries) > 0 && s.entries[len(s.entries)-1].refs == 0 {
			tip := s.tip()
			c.dropContent(place{s.number, tip}, s.entry(tip))
			s.entries = s.entries[:len(s.entries)-1]
			s.stamp++
		}
		if len(s.entries) > 0 {
			return nil
		}
		at = s.parent
	}
	return nil
}

// finishSegments writes the segments that changed.
func (c *changes) finishSegments() {
	for _, s := range c.segmentOrder {
		if !s.changed {
			continue
		}
		c.key = segmentKey(c.key[:0], s.number)
		if len(s.entries) > 0 {
			c.value = s.append(c.value[:0])
			c.batch.Set(c.key, c.value)
		} else if s.stored {
			c.batch.Delete(c.key)
		}
		s.stored, s.changed = len(s.entries) > 0, false
	}
}
