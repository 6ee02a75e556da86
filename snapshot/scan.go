// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// place is where an item lies: the offset of its frame in the file, and its
// own within the unpacked frame.
type place int64

const placeBits = 20 // of the offset within a frame, which is below maxFrame

func placeOf(frame int64, at int) place { return place(frame<<placeBits | int64(at)) }

func (p place) frame() int64 { return int64(p) >> placeBits }
func (p place) at() int      { return int(p & (1<<placeBits - 1)) }

// maxOffset is the longest file whose places fit.
const maxOffset = 1 << (63 - placeBits)

// scanner reads the items of consecutive frames.
type scanner struct {
	a    *Archive
	kind frameKind
	next int64 // offset of the next frame
	end  int64 // of the last one

	payload []byte // of the frame that is open
	frame   int64  // its offset
	at      int    // next item in it
}

func (a *Archive) scan(kind frameKind, begin, end int64) *scanner {
	return &scanner{a: a, kind: kind, next: begin, end: end}
}

// item returns the next item, io.EOF after the last. Items are not changed
// later and may be kept. After a frame that is damaged it goes on with the next
// one, if the damaged one says where that is.
func (s *scanner) item() ([]byte, place, error) {
	if s.at >= len(s.payload) {
		if s.next >= s.end {
			return nil, 0, io.EOF
		}
		payload, next, err := readFrame(s.a.r, s.kind, s.next, s.end)
		s.payload, s.frame, s.at = payload, s.next, 0
		s.next = next
		if next == 0 {
			s.next = s.end
		}
		if err != nil {
			s.payload = nil
			return nil, placeOf(s.frame, 0), err
		}
	}
	p := placeOf(s.frame, s.at)
	n, k := binary.Uvarint(s.payload[s.at:])
	if k <= 0 || n == 0 || n > uint64(len(s.payload)-s.at-k) {
		s.at = len(s.payload)
		return nil, p, corruptAt(s.frame, "the frame's items do not fit into it")
	}
	from := s.at + k
	s.at = from + int(n)
	return s.payload[from:s.at:s.at], p, nil
}

// parsed is item, parsed.
func (s *scanner) parsed() (Item, place, error) {
	encoded, p, err := s.item()
	if err != nil {
		return nil, p, err
	}
	item, err := ParseItem(encoded)
	if err != nil {
		return nil, p, inFrame(p, err)
	}
	return item, p, nil
}

// inFrame says where the item is that err is about, and keeps its code.
func inFrame(p place, err error) error {
	return fmt.Errorf("at offset %d, byte %d of the frame: %w", p.frame(), p.at(), err)
}

// Items returns the items of an agent: the agent, the segments that no agent
// before it has brought, with their contents, and its versions. The sequence
// ends with its first error.
func (a *Archive) Items(e Entry) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		s := a.scan(frameAgent, e.offset, e.offset+e.length)
		for {
			item, _, err := s.parsed()
			if errors.Is(err, io.EOF) || !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// Encoded returns all items of the archive in order, encoded, as an import
// takes them. They are not checked beyond their frames; [Archive.Verify] does
// that. The sequence ends with its first error.
func (a *Archive) Encoded() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, s := range []*scanner{
			a.scan(frameCluster, a.begin, a.trailer.agents), a.scan(frameAgent, a.trailer.agents, a.trailer.table),
		} {
			for {
				item, _, err := s.item()
				if errors.Is(err, io.EOF) {
					break
				}
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}
