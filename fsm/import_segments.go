// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"

	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/snapshot"
)

// segment says which segment the next contents are of. The segment is made
// with the first of them.
func (m *importer) segment(item *snapshot.Segment) (refusal, err error) {
	parent := place{item.Parent, item.ParentPosition}
	s, err := m.c.segment(item.ID)
	switch {
	case err != nil:
		return nil, err
	case m.rec.want == 0:
		return fmt.Errorf("segment %d is of no agent", item.ID), nil
	case item.ID > maxCounter:
		return fmt.Errorf("segment %d is absurd", item.ID), nil
	case s != nil && (!s.shared || !item.Shared || s.parent != parent || s.first != item.First):
		return fmt.Errorf("segment %d came before, and is not shared or another one", item.ID), nil
	case item.ID == m.rec.segment:
		return fmt.Errorf("segment %d comes twice", item.ID), nil
	}
	if s == nil && item.Parent != 0 {
		if _, refusal, err := m.reach(parent); refusal != nil || err != nil {
			return refusal, err
		}
	}
	m.rec.segment, m.rec.parent, m.rec.first, m.rec.shared, m.rec.empty = item.ID, parent, item.First, item.Shared, true
	return nil, nil
}

// content takes the next content of the segment, or its header.
func (m *importer) content(item *snapshot.Content) (refusal, err error) {
	s, err := m.c.segment(item.Segment)
	if err != nil {
		return nil, err
	}
	next := m.rec.first
	if s != nil {
		next = s.tip() + 1
	}
	isKeyframe := item.Position == m.rec.first && m.rec.parent.segment == 0
	switch {
	case item.Segment != m.rec.segment || m.rec.late || item.Position != next:
		return fmt.Errorf("content %d of segment %d is out of order", item.Position, item.Segment), nil
	case (item.Kind == record.Keyframe) != isKeyframe:
		return fmt.Errorf("content %d of segment %d cannot be a %s", item.Position, item.Segment, item.Kind), nil
	case item.Kind == record.Delta && item.Size > maxDelta || item.Parts > maxParts || item.Size > maxCounter>>20:
		return fmt.Errorf("content %d of segment %d is absurdly long", item.Position, item.Segment), nil
	case s != nil && s.chain(s.tip()).Deltas >= record.MaxChain-1:
		return fmt.Errorf("content %d of segment %d makes its chain too long", item.Position, item.Segment), nil
	case item.Parts > 0:
		m.rec.content, m.rec.got, m.rec.sum, m.rec.empty = item.Content, 0, 0, false
		return nil, nil
	case record.Checksum(item.Data) != item.CRC32C:
		return fmt.Errorf("content %d of segment %d does not match its checksum", item.Position, item.Segment), nil
	}
	m.rec.empty = false
	return m.addContent(s, stored{Content: item.Content, bytes: uint64(len(item.Data))})
}

// part takes the next part of a content, and with the last one the content.
func (m *importer) part(item *snapshot.Part) (refusal, err error) {
	last := m.rec.got+1 == m.rec.content.Parts
	switch {
	case m.rec.content.Parts == 0 || item.Index != m.rec.got:
		return fmt.Errorf("part %d is of no content, or out of order", item.Index), nil
	case !last && len(item.Data) != partSize:
		return fmt.Errorf("part %d has %d bytes and is not the last one", item.Index, len(item.Data)), nil
	}
	s, err := m.c.segment(m.rec.segment)
	if err != nil {
		return nil, err
	}
	position := m.rec.first
	if s != nil {
		position = s.tip() + 1
	}
	m.rec.content.Upload = m.uploadOf(place{m.rec.segment, position})
	u, err := m.c.upload(m.rec.content.Upload)
	if err != nil {
		return nil, err
	}
	m.c.putPart(u, &Part{Upload: u.id, Index: item.Index, CRC32C: record.Checksum(item.Data), Data: item.Data})
	m.rec.sum = crc32.Update(m.rec.sum, crc32.MakeTable(crc32.Castagnoli), item.Data)
	m.rec.got++
	if !last {
		return nil, nil
	}
	content := m.rec.content
	m.rec.content, m.rec.got = record.Content{}, 0
	if m.rec.sum != content.CRC32C {
		return fmt.Errorf("the parts of content %d of segment %d do not match their checksum", position, m.rec.segment), nil
	}
	whole, refusal, err := m.c.staged(content)
	if refusal != nil || err != nil {
		return refusal, err
	}
	return m.addContent(s, whole)
}

// uploadOf names the parts of a content. Nobody else can know the name.
func (m *importer) uploadOf(at place) [16]byte {
	sum := sha256.Sum256(contentKey(append([]byte("import"), m.rec.archive[:]...), at.segment, at.position))
	return [16]byte(sum[:])
}

// addContent stores a content at the end of the segment, which it makes if s
// is nil. Nothing refers to it so far.
func (m *importer) addContent(s *segment, content stored) (refusal, err error) {
	entry := content.entry()
	entry.refs = 0
	if s == nil {
		if s, refusal, err = m.makeSegment(); refusal != nil || err != nil {
			return refusal, err
		}
	} else if s.entry(s.tip()).refs == 0 {
		m.rec.loose--
	}
	m.rec.loose++
	s.entries = append(s.entries, entry)
	s.changed = true
	m.c.putContent(place{s.number, s.tip()}, content)
	return nil, nil
}

// makeSegment makes the segment that the last segment item was about.
func (m *importer) makeSegment() (s *segment, refusal, err error) {
	s = &segment{number: m.rec.segment, changed: true}
	s.parent, s.first, s.shared, s.stamp = m.rec.parent, m.rec.first, m.rec.shared, m.rec.all
	if s.parent.segment != 0 {
		parent, refusal, err := m.reach(s.parent)
		if refusal != nil || err != nil {
			return nil, refusal, err
		}
		if s.base = parent.chain(s.parent.position); s.base.Deltas >= record.MaxChain-1 {
			return nil, fmt.Errorf("segment %d starts from a chain that is full", s.number), nil
		}
		if refusal, err := m.attach(s.parent); refusal != nil || err != nil {
			return nil, refusal, err
		}
	}
	m.c.addSegment(s)
	m.c.state.segments = max(m.c.state.segments, s.number)
	return s, nil, nil
}
