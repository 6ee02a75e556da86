// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hawserdb/hawser"
)

// expected reports whether an error is one that hostile bytes may cause.
func expected(err error) bool {
	return err == nil || errors.Is(err, hawser.ErrCorrupt) || errors.Is(err, hawser.ErrUnimplemented) || errors.Is(err, hawser.ErrTooLarge)
}

// A header that is read writes the same bytes again.
func FuzzHeader(f *testing.F) {
	f.Add(encodeHeader(testHeader))
	f.Add(encodeHeader(Header{Namespace: "a", Prefix: "b/c"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if !expected(err) {
			t.Fatal(err)
		}
		if again := encodeHeader(h); err == nil && !bytes.Equal(again, b[:n]) {
			t.Fatalf("%x\n%x", again, b[:n])
		}
	})
}

// A frame that is read holds as many bytes as it says, and no more than a frame
// may.
func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, frameAgent, 0, []byte("short")), true)
	f.Add(appendFrame(nil, frameAgent, 0, bytes.Repeat([]byte("long and packed "), 100)), true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		b = bytes.Clone(b)
		if fix && len(b) > frameHeader { // let the fuzzer past the checksum
			placeFrame(b, 0)
		}
		payload, next, err := readFrame(bytes.NewReader(b), frameAgent, 0, int64(len(b)))
		if !expected(err) || err == nil && (len(payload) == 0 || len(payload) > maxFrame || next > int64(len(b))) {
			t.Fatalf("%d bytes, %d, %v", len(payload), next, err)
		}
	})
}

// A block of the table that is read is as long as the index says, and its
// entries are in order and within their sections.
func FuzzTable(f *testing.F) {
	a := open(f, small(f))
	for i, b := range a.blocks {
		payload, _, err := readFrame(a.r, frameTable, b.offset, b.offset+b.length)
		if err != nil {
			f.Fatal(i, err)
		}
		f.Add(payload, b.first, b.sections, a.trailer.table)
	}
	f.Fuzz(func(t *testing.T, payload []byte, first string, from, to int64) {
		if from < 0 || to < from || len(payload) == 0 {
			return
		}
		b := block{first: first, sections: from, agents: uint64(payload[0])}
		entries, err := parseTable(payload, b, to, from, "")
		if !expected(err) {
			t.Fatal(err)
		}
		at := from
		for i, e := range entries {
			if e.offset != at || e.length < minFrame || i > 0 && key(e.ID) <= key(entries[i-1].ID) {
				t.Fatalf("%+v", entries)
			}
			at += e.length
		}
		if err == nil && at != to {
			t.Fatalf("ends at %d, not %d", at, to)
		}
	})
}

// An index that is read has blocks in order that cover the table.
func FuzzIndex(f *testing.F) {
	a := open(f, small(f))
	payload, _, err := readFrame(a.r, frameIndex, a.trailer.index, a.trailer.summary)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, a.trailer.agents, a.trailer.table, a.trailer.index)
	f.Fuzz(func(t *testing.T, payload []byte, agents, table, index int64) {
		if agents < 0 || table < agents || index < table {
			return
		}
		x := indexReader{t: trailer{agents: agents, table: table, index: index}, next: block{offset: table, sections: agents}}
		if err := x.frame(payload, 0); !expected(err) {
			t.Fatal(err)
		}
		for _, b := range x.blocks {
			if b.offset < table || b.offset+b.length > index || b.sections < agents || b.sections > table {
				t.Fatalf("%+v", b)
			}
		}
	})
}

// A trailer that is read has its offsets in order, and writes the same bytes.
func FuzzTrailer(f *testing.F) {
	file := small(f)
	f.Add(file[len(file)-trailerSize:], int64(len(file)))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		if len(b) != trailerSize || size < int64(trailerSize) {
			return
		}
		got, err := parseTrailer(b, 1, size)
		if !expected(err) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(appendTrailer(nil, got), b) {
			t.Fatalf("%+v", got)
		}
	})
}

// A summary is read or refused; what is known of it comes back.
func FuzzSummary(f *testing.F) {
	f.Add(encodeSummary(open(f, small(f)).summary))
	f.Add([]byte{99, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSummary(b, 0)
		if !expected(err) {
			t.Fatal(err)
		}
		if again, err2 := parseSummary(encodeSummary(s), 0); err == nil && (err2 != nil || again != s) {
			t.Fatalf("%+v, %+v, %v", s, again, err2)
		}
	})
}

// Whatever the bytes of a file, it is verified without a panic; and what was
// changed is noticed unless nothing was.
func FuzzArchive(f *testing.F) {
	file := small(f)
	f.Add(file, 0, byte(0))
	f.Add(file, 100, byte(1))
	f.Add(file[:len(file)/2], 0, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at int, change byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[uint(at)%uint(len(b))] ^= change
		}
		err := judge(t, b)
		if !expected(err) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(b, file) {
			if a := open(t, b); !verify(t, a).SHA256 {
				t.Fatal("a file that was changed verifies")
			}
		}
	})
}
