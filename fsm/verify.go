// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// maxVerify is the most numbers that one [View.Verify] looks at.
const maxVerify = 1024

// Verdict is what [View.Verify] found of one version.
type Verdict struct {
	Version hawser.Version
	// Bytes were read and rebuilt for it.
	Bytes int64
	// Err is nil for a version that is what was saved, else it matches
	// hawser.ErrCorrupt.
	Err error
}

// Verify rebuilds the live versions of the numbers from to to, 0 for the head,
// compares their SHA-256 and hands them to yield, oldest first, until that
// returns false. It looks at the oldest 1024 numbers at most and returns the
// first that it left out, 0 for none. What two versions share is read once. Two
// states are in memory at a time; of a keyframe that is stored in parts, and
// that no later number needs, none is. An agent that is not there is
// hawser.ErrNotFound.
func (v *View) Verify(id hawser.AgentID, from, to uint64, yield func(Verdict) bool) (next uint64, err error) {
	a, err := v.agent(id)
	if err != nil {
		return 0, err
	}
	if a.live == 0 {
		return 0, notFound("agent", id, "it was deleted")
	}
	from, last := max(from, a.floor+1, a.oldest), a.head
	if to != 0 {
		last = min(last, to)
	}
	if last >= from && last-from >= maxVerify {
		last = from + maxVerify - 1
		next = last + 1
	}
	recs, err := v.live(id, from, last)
	if err != nil {
		return 0, err
	}
	b := &rebuilder{v: v}
	for i, rec := range recs {
		keep := i+1 < len(recs)
		bytes, err := b.verify(rec, keep)
		if err != nil && !errors.Is(err, hawser.ErrCorrupt) {
			return 0, err
		}
		if err != nil {
			err = corruptVersion(id, rec, err)
		}
		if !yield(Verdict{Version: rec.version(id), Bytes: bytes, Err: err}) {
			return 0, nil
		}
	}
	return next, nil
}

// live returns the records of the live versions from..to, oldest first.
func (v *View) live(id hawser.AgentID, from, to uint64) ([]*chainRecord, error) {
	if from > to {
		return nil, nil
	}
	it, err := v.snap.Iter(chainKey(nil, id, to), append(chainKey(nil, id, from), 0))
	if err != nil {
		return nil, err
	}
	var recs []*chainRecord
	for err == nil && it.Next() {
		var rec *chainRecord
		if rec, err = parseChain(it.Value()); err != nil {
			err = damagedKey("record", id, 0)
		} else if rec.state == hawser.VersionLive {
			recs = append(recs, rec)
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	slices.Reverse(recs)
	return recs, nil
}

// rebuilder rebuilds versions of one agent, each from the one before where
// that is on the way.
type rebuilder struct {
	v *View
	// state is what is rebuilt at the place at, none when at is none.
	at    place
	state []byte
}

// verify rebuilds one version and compares its hash. Unless keep is set, the
// version after it will not be asked for. Errors that match hawser.ErrCorrupt
// are about the bytes.
func (b *rebuilder) verify(rec *chainRecord, keep bool) (bytes int64, err error) {
	way, err := b.v.way(rec.place())
	if err != nil {
		return 0, err
	}
	if done := slices.Index(way, b.at); done >= 0 {
		way = way[done+1:]
	} else {
		b.at, b.state = place{}, nil
	}
	if len(way) == 1 && b.at == (place{}) && !keep {
		if bytes, done, err := b.stream(way[0], rec.sha); done {
			return bytes, err
		}
	}
	for _, next := range way {
		n, err := b.step(next)
		bytes += n
		if err != nil {
			b.at, b.state = place{}, nil
			return bytes, err
		}
	}
	if hawser.Hash(sha256.Sum256(b.state)) != rec.sha {
		return bytes, corruptBytes("SHA-256 does not match")
	}
	return bytes + int64(len(b.state)), nil
}

// step goes on to the content at next.
func (b *rebuilder) step(next place) (int64, error) {
	content, err := b.v.content(next)
	if err == nil {
		content, err = b.v.Load(content)
	}
	if err != nil {
		return 0, err
	}
	chain := []record.Content{content}
	if b.at != (place{}) {
		chain = []record.Content{rawKeyframe(b.state), content}
	}
	state, err := record.Materialise(chain, hawser.MaxStateSize)
	if err != nil {
		return int64(len(content.Data)), err
	}
	b.at, b.state = next, state
	return int64(len(content.Data)), nil
}

// rawKeyframe is a state in the form in which deltas are applied to it.
func rawKeyframe(state []byte) record.Content {
	return record.Content{
		Kind: record.Keyframe, Encoding: record.Raw, Size: uint64(len(state)), CRC32C: record.Checksum(state), Data: state,
	}
}

// stream verifies a keyframe that is stored in parts, one part after another.
// It reports whether the content is one.
func (b *rebuilder) stream(at place, sha hawser.Hash) (bytes int64, done bool, err error) {
	content, err := b.v.content(at)
	if err != nil || content.Parts == 0 {
		return 0, err != nil, err
	}
	verifier, err := record.NewVerifier(content, hawser.MaxStateSize)
	if err != nil {
		return 0, true, err
	}
	defer verifier.Close()
	for index := range content.Parts {
		part, err := b.v.loadPart(content.Upload, index)
		if err != nil {
			return bytes, true, err
		}
		bytes += int64(len(part))
		if _, err := verifier.Write(part); err != nil {
			return bytes, true, err
		}
	}
	return bytes + int64(content.Size), true, verifier.Finish(content.CRC32C, sha)
}

// loadPart is Part for a part that belongs to a content.
func (v *View) loadPart(upload [16]byte, index uint32) ([]byte, error) {
	part, err := v.Part(upload, index)
	if errors.Is(err, hawser.ErrNotFound) {
		err = uploadError(hawser.CodeCorrupt, upload, fmt.Sprintf("part %d is missing", index))
	}
	return part, err
}

// way returns the places of what is rebuilt at a place, keyframe first.
func (v *View) way(at place) ([]place, error) {
	var way []place
	for from := at; from.segment != 0; {
		s, err := v.segment(from)
		if err != nil {
			return nil, err
		}
		for position := from.position; ; position-- {
			if way = append(way, place{from.segment, position}); position == s.first {
				break
			}
		}
		if len(way) > record.MaxChain {
			return nil, damagedPlace(at)
		}
		from = s.parent
	}
	slices.Reverse(way)
	return way, nil
}

// content returns the content at a place, with Data checked against their
// checksum if they are inline. A content that is missing or malformed is
// hawser.ErrCorrupt, because the other replicas may have it.
func (v *View) content(at place) (record.Content, error) {
	raw, ok, err := v.snap.Get(contentKey(nil, at.segment, at.position))
	if err != nil {
		return record.Content{}, err
	}
	if !ok {
		return record.Content{}, corruptBytes(fmt.Sprintf("position %d of segment %d is missing", at.position, at.segment))
	}
	content, err := record.ParseContent(raw)
	if err == nil {
		err = checkInline(content)
	}
	if err != nil {
		return record.Content{}, corruptBytes(fmt.Sprintf("position %d of segment %d: %v", at.position, at.segment, err))
	}
	return content, nil
}

func corruptBytes(msg string) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Msg: msg}
}
