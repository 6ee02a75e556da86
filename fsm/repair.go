// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/record"
)

// Sum says what bytes a replica has in one place. Replicas that are as far as
// each other have equal sums, if nothing altered their bytes.
type Sum struct {
	Segment uint64
	// Stamp is the segment's.
	Stamp    uint64
	Position uint32
	// Bytes is the length of the stored form, its parts included, and CRC32C
	// the checksum of it as it is now. Both are 0 for what is missing.
	Bytes  uint64
	CRC32C uint32
}

// Sums returns a version with the sums of all that it is rebuilt from, keyframe
// first; number 0 is the head. It says nothing about whether the bytes are
// right. Errors are those of Version.
func (v *View) Sums(id hawser.AgentID, number uint64) (hawser.Version, []Sum, error) {
	rec, err := v.version(id, number)
	if err != nil {
		return hawser.Version{}, nil, err
	}
	way, err := v.way(rec.place())
	if err != nil {
		return hawser.Version{}, nil, err
	}
	sums := make([]Sum, len(way))
	for i, at := range way {
		if sums[i], err = v.sum(at); err != nil {
			return hawser.Version{}, nil, err
		}
	}
	return rec.version(id), sums, nil
}

func (v *View) sum(at place) (Sum, error) {
	s, err := v.segment(at)
	if err != nil {
		return Sum{}, err
	}
	sum := Sum{Segment: at.segment, Stamp: s.stamp, Position: at.position}
	raw, ok, err := v.snap.Get(contentKey(nil, at.segment, at.position))
	if err != nil || !ok {
		return sum, err
	}
	sum.add(raw)
	content, err := record.ParseContent(raw)
	if err != nil {
		return sum, nil //nolint:nilerr // the sum says that it is another content
	}
	for index := range min(content.Parts, maxParts) {
		raw, _, err := v.snap.Get(partKey(nil, content.Upload, index))
		if err != nil {
			return sum, err
		}
		sum.add(raw)
	}
	return sum, nil
}

var sumTable = crc32.MakeTable(crc32.Castagnoli)

func (s *Sum) add(raw []byte) {
	s.Bytes += uint64(len(raw))
	s.CRC32C = crc32.Update(s.CRC32C, sumTable, raw)
}

// ContentAt returns what is stored in a place, and the stamp of its segment.
// Data that are inline are checked, those in parts left out. Errors match
// hawser.ErrNotFound and hawser.ErrCorrupt.
func (v *View) ContentAt(segment uint64, position uint32) (c record.Content, stamp uint64, err error) {
	s, ok, err := readSegment(v.snap, segmentKey(nil, segment))
	if err == nil && (!ok || s.entry(position) == nil) {
		err = &hawser.Error{Code: hawser.CodeNotFound, Op: "content", Msg: fmt.Sprintf("there is no position %d of segment %d", position, segment)}
	}
	if err != nil {
		return record.Content{}, 0, err
	}
	c, err = v.content(place{segment, position})
	return c, s.stamp, err
}

// Repair is a content as another replica has it.
type Repair struct {
	Segment uint64
	// Stamp is the segment's where Content was read.
	Stamp    uint64
	Position uint32
	Content  record.Content
}

// Repair puts a content in the place of one whose bytes are not what was
// stored, on this replica only. It refuses, with hawser.ErrConflict, when the
// segment is not the one that the content was read from, and changes nothing
// then. Parts follow with [Machine.RepairPart]. Nothing of it is in the log: a
// crash may undo it.
func (m *Machine) Repair(r Repair) error {
	return m.repair(r, func(at place) ([]byte, []byte, error) {
		if err := checkInline(r.Content); err != nil {
			return nil, nil, corruptBytes("the content to repair with: " + err.Error())
		}
		return contentKey(nil, at.segment, at.position), record.AppendContent(nil, r.Content), nil
	})
}

// RepairPart is [Machine.Repair] for one part of r.Content.
func (m *Machine) RepairPart(r Repair, index uint32, data []byte) error {
	return m.repair(r, func(place) ([]byte, []byte, error) {
		if index >= r.Content.Parts || len(data) > partSize {
			return nil, nil, invalidCommand("repair", fmt.Sprintf("part %d of %d bytes", index, len(data)))
		}
		value := binary.BigEndian.AppendUint32([]byte{storedFormat}, record.Checksum(data))
		return partKey(nil, r.Content.Upload, index), append(value, data...), nil
	})
}

func (m *Machine) repair(r Repair, form func(place) (key, value []byte, err error)) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	return m.withStore(func(db *engine.DB) error {
		s, ok, err := readSegment(db, segmentKey(nil, r.Segment))
		if err != nil {
			return err
		}
		if !ok || s.stamp != r.Stamp || !s.holds(r.Position, r.Content) {
			return &hawser.Error{
				Code: hawser.CodeConflict, Op: "repair", Msg: fmt.Sprintf("segment %d has changed meanwhile", r.Segment),
			}
		}
		key, value, err := form(place{r.Segment, r.Position})
		if err != nil {
			return err
		}
		batch := db.NewBatch()
		batch.Set(key, value)
		return batch.Commit()
	})
}

// holds reports whether a content is what the entry of a position is about, as
// far as the entry tells.
func (s *segmentRecord) holds(position uint32, c record.Content) bool {
	e := s.entry(position)
	switch {
	case e == nil || (e.upload == nil) != (c.Parts == 0):
		return false
	case e.upload != nil:
		return *e.upload == c.Upload
	}
	return e.bytes == uint64(len(c.Data))
}
