// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/record"
)

// Path is what a version is rebuilt from.
type Path struct {
	// Contents are a keyframe and the deltas to apply to it, oldest first.
	Contents []Stored
	// Chain sums them up as the chain rule does, which may not have noticed
	// that a keyframe was put in between.
	Chain record.Chain
}

// Stored is a content in its place.
type Stored struct {
	Segment  uint64
	Position uint32
	record.Content
}

// Path returns a version with what it is rebuilt from; number 0 is the head.
// Contents that are stored inline have their Data, checked against the
// checksum; for others there is [View.Load]. Errors are those of Version, and
// hawser.ErrCorrupt for a version that was marked bad and for bytes that do not
// match their checksum; the caller compares the SHA-256 of the whole.
func (v *View) Path(id hawser.AgentID, number uint64) (hawser.Version, Path, error) {
	rec, err := v.version(id, number)
	if err != nil {
		return hawser.Version{}, Path{}, err
	}
	if rec.state != hawser.VersionLive {
		return hawser.Version{}, Path{}, corruptVersion(id, rec, nil)
	}
	path, err := v.path(rec.place())
	if _, halted := errors.AsType[*halt.Error](err); err != nil && !halted {
		err = corruptVersion(id, rec, err)
	}
	if err != nil {
		return hawser.Version{}, Path{}, err
	}
	return rec.version(id), path, nil
}

// stretch is a part of a path: positions of one segment.
type stretch struct {
	segment     uint64
	first, last uint32
}

// path loads what is rebuilt at a place. An error that is no *halt.Error is a
// content that does not match its checksum.
func (v *View) path(at place) (Path, error) {
	var path Path
	var stretches []stretch
	length := 0
	for from := at; from.segment != 0; {
		s, err := v.segment(from)
		if err != nil {
			return Path{}, err
		}
		if from == at {
			path.Chain = s.chain(at.position)
		}
		stretches = append(stretches, stretch{from.segment, s.first, from.position})
		if length += int(from.position-s.first) + 1; length > record.MaxChain {
			return Path{}, damagedPlace(at)
		}
		from = s.parent
	}
	path.Contents = make([]Stored, 0, length)
	for _, s := range slices.Backward(stretches) {
		var err error
		if path.Contents, err = v.contents(path.Contents, s); err != nil {
			return Path{}, err
		}
	}
	return path, nil
}

// segment returns the segment of a place that must be there.
func (v *View) segment(at place) (segmentRecord, error) {
	rec, ok, err := readSegment(v.snap, segmentKey(nil, at.segment))
	if err == nil && (!ok || rec.entry(at.position) == nil) {
		err = damagedPlace(at)
	}
	return rec, err
}

// contents appends the contents of a stretch.
func (v *View) contents(dst []Stored, s stretch) ([]Stored, error) {
	it, err := v.snap.Iter(contentKey(nil, s.segment, s.first), append(contentKey(nil, s.segment, s.last), 0))
	if err != nil {
		return nil, err
	}
	position, key := s.first, []byte(nil)
	for ; err == nil && position <= s.last && it.Next(); position++ {
		if key = contentKey(key[:0], s.segment, position); string(it.Key()) != string(key) {
			break
		}
		var content record.Content
		if content, err = record.ParseContent(slices.Clone(it.Value())); err == nil {
			err = checkInline(content)
		}
		dst = append(dst, Stored{Segment: s.segment, Position: position, Content: content})
	}
	if closeErr := it.Close(); closeErr != nil {
		return nil, closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("position %d of segment %d: %w", dst[len(dst)-1].Position, s.segment, err)
	}
	if position <= s.last {
		return nil, damagedPlace(place{s.segment, position})
	}
	return dst, nil
}

func checkInline(content record.Content) error {
	if content.Parts == 0 && record.Checksum(content.Data) != content.CRC32C {
		return errors.New("checksum does not match")
	}
	return nil
}

// Part returns one part of a content that is stored in parts, or of an upload
// that belongs to no content yet. A part that is not there is
// hawser.ErrNotFound, one that does not match its checksum hawser.ErrCorrupt.
func (v *View) Part(upload [16]byte, index uint32) ([]byte, error) {
	value, ok, err := v.snap.Get(partKey(nil, upload, index))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, uploadError(hawser.CodeNotFound, upload, fmt.Sprintf("part %d is not there", index))
	}
	crc, data, err := parsePart(value)
	if err != nil || record.Checksum(data) != crc {
		return nil, uploadError(hawser.CodeCorrupt, upload, fmt.Sprintf("part %d does not match its checksum", index))
	}
	return data, nil
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
		part, err := v.Part(c.Upload, index)
		if errors.Is(err, hawser.ErrNotFound) {
			err = uploadError(hawser.CodeCorrupt, c.Upload, fmt.Sprintf("part %d is missing", index))
		}
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
// head. Errors are those of Path.
func (v *View) Materialise(id hawser.AgentID, number uint64) (hawser.Version, []byte, error) {
	version, path, err := v.Path(id, number)
	if err != nil {
		return hawser.Version{}, nil, err
	}
	chain := make([]record.Content, len(path.Contents))
	for i, c := range path.Contents {
		if chain[i], err = v.Load(c.Content); err != nil {
			return hawser.Version{}, nil, err
		}
	}
	state, err := record.Materialise(chain, hawser.MaxStateSize)
	if err == nil && hawser.Hash(sha256.Sum256(state)) != version.SHA256 {
		err = errors.New("SHA-256 does not match")
	}
	if err != nil {
		key := hawser.VersionRef{Agent: id, Number: version.Number}.String()
		return hawser.Version{}, nil, &hawser.Error{Code: hawser.CodeCorrupt, Op: "version", Key: key, Err: err}
	}
	return version, state, nil
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

// Upload describes an upload that belongs to no content yet.
type Upload struct {
	ID    [16]byte
	Parts uint32
	Bytes int64
	// TouchedAt is the cluster's clock at its last part.
	TouchedAt time.Time
}

// Uploads lists uploads that belong to no content yet, at most limit (0 for
// hawser.DefaultPage, never more than hawser.MaxPage). The leader proposes
// [ExpireUploads] for those that were given up.
func (v *View) Uploads(limit int) ([]Upload, error) {
	it, err := v.snap.Iter([]byte{prefixUpload}, []byte{prefixUpload + 1})
	if err != nil {
		return nil, err
	}
	limit = page(limit)
	var uploads []Upload
	for err == nil && len(uploads) < limit && it.Next() {
		var rec uploadRecord
		if rec, err = parseUpload(it.Value()); err != nil || len(it.Key()) != len(uploadKey(nil, [16]byte{})) {
			err = damaged("upload", errMalformed)
			break
		}
		uploads = append(uploads, Upload{
			ID: [16]byte(it.Key()[1:]), Parts: rec.parts, Bytes: int64(rec.bytes), TouchedAt: unix(rec.touched),
		})
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return uploads, nil
}
