// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"io"
)

// block is what the index says of a block of the table.
type block struct {
	first  string // key of its first entry
	offset int64  // of its frame
	length int64
	// sections is where the section of its first agent begins.
	sections int64
	agents   uint64
}

// appendBlock appends the index entry of a block whose sections take so many
// bytes.
func appendBlock(dst []byte, b block, sections int64) []byte {
	return appendUvarints(appendString(dst, b.first), uint64(b.length), b.agents, uint64(sections))
}

// readIndex reads the whole index and checks that blocks and sections lie
// without a gap where the trailer says. The number of blocks is bounded by the
// length of the table, their names by maxIndex.
func readIndex(r io.ReaderAt, t trailer) ([]block, error) {
	x := indexReader{t: t, next: block{offset: t.table, sections: t.agents}}
	for at, bytes := t.index, 0; at < t.summary; {
		payload, next, err := readFrame(r, frameIndex, at, t.summary)
		if err != nil {
			return nil, err
		}
		if bytes += len(payload); bytes > maxIndex {
			return nil, corruptAt(at, "the index has more than %d bytes", maxIndex)
		}
		if err := x.frame(payload, at); err != nil {
			return nil, err
		}
		at = next
	}
	if x.next.offset != t.index || x.next.sections != t.table {
		return nil, corruptAt(t.index, "the index does not cover the table")
	}
	return x.blocks, nil
}

// indexReader takes frame after frame of the index.
type indexReader struct {
	t      trailer
	blocks []block
	next   block // where the next block begins; first is the last key
}

func (x *indexReader) frame(payload []byte, at int64) error {
	r := &itemReader{b: payload}
	for len(r.b) > 0 {
		b := x.next
		b.first = r.string()
		b.length, b.agents = r.int63(), r.uvarint()
		sections := r.int63()
		_, ok := splitKey(b.first)
		r.check(ok, "a name is not valid")
		r.check(b.first > x.next.first, "its names are not in order")
		r.check(b.length >= minFrame && b.length <= x.t.index-b.offset, "a block is not within the table")
		r.check(sections <= x.t.table-b.sections && b.agents > 0 && b.agents <= uint64(sections)/minFrame, "sections are not before the table")
		if r.fault != "" {
			return corruptAt(at, "the index: %s", r.fault)
		}
		x.blocks = append(x.blocks, b)
		x.next = block{first: b.first, offset: b.offset + b.length, sections: b.sections + sections}
	}
	return nil
}

// encodeTable returns a block of the table: the number of entries, then these.
// Their sections lie one after another.
func encodeTable(entries []Entry) []byte {
	dst := appendUvarints(nil, uint64(len(entries)))
	before, newest := "", int64(0)
	for i := range entries {
		e := &entries[i]
		dst = appendEntry(dst, e, before, newest)
		before = key(e.ID)
		if e.Versions > 0 {
			newest = millis(e.Newest)
		}
	}
	return dst
}

// parseTable reads block b; sections is where its sections end, first where
// those of all blocks begin, and after the first key of the next block or "".
func parseTable(payload []byte, b block, sections, first int64, after string) ([]Entry, error) {
	r := &itemReader{b: payload}
	n := r.count(6)
	r.check(uint64(n) == b.agents, "the index says another number of agents")
	entries := make([]Entry, 0, n)
	before, newest, at, names := "", int64(0), b.sections, 0
	for i := 0; i < n && r.fault == ""; i++ {
		e, k := r.entry(before, newest, at, first)
		names += len(k)
		r.check(names <= maxBlockKeys, "its names are too long")
		r.check(i > 0 || k == b.first, "the index says another first agent")
		r.check(e.length >= minFrame && e.length <= sections-at, "a section is not where the index says")
		entries, before, at = append(entries, e), k, at+e.length
		if e.Versions > 0 {
			newest = millis(e.Newest)
		}
	}
	r.check(len(r.b) == 0, "bytes follow its entries")
	r.check(at == sections, "its sections do not end where the index says")
	r.check(after == "" || before < after, "the next block does not continue it")
	if r.fault != "" {
		return nil, corruptAt(b.offset, "the table: %s", r.fault)
	}
	return entries, nil
}
