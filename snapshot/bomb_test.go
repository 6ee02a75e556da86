// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// longKey returns one of many keys of the longest kind, of which nearly all is
// the same: they pack to nothing.
func longKey(i int) string {
	return fmt.Sprintf("%s\x00%s%010d", strings.Repeat("n", maxName), strings.Repeat("x", maxName-10), i)
}

// An index that packs to nothing but holds gigabytes of names is refused before
// they are in memory.
func TestHostile_LongIndex(t *testing.T) {
	const blocks = 10_000
	f := newForge()
	f.file = append(f.file, make([]byte, blocks*minFrame)...) // sections that nobody looks at
	f.trailer.table = int64(len(f.file))
	f.file = append(f.file, make([]byte, blocks*minFrame)...)
	f.trailer.index = int64(len(f.file))
	for i := 0; i < blocks; {
		var payload []byte
		for ; i < blocks && len(payload) < maxFrame-2*maxKey; i++ {
			payload = appendBlock(payload, block{first: longKey(i), length: minFrame, agents: 1}, minFrame)
		}
		f.file = appendFrame(f.file, frameIndex, int64(len(f.file)), payload)
	}
	file := f.seal(Summary{})
	var err error
	allocated := allocates(func() { _, err = Open(bytes.NewReader(file), int64(len(file))) })
	if !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "the index has more than") || allocated > 3*maxIndex {
		t.Errorf("%d bytes of file, %d allocated: %v", len(file), allocated, err)
	}
	w := tableWriter{indexed: maxIndex + 1}
	if _, err := w.end(); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("an index that no reader takes is written: %v", err)
	}
}

// A block of the table whose names share nearly everything, and are gigabytes
// together, is refused before they are in memory.
func TestHostile_LongNamesInABlock(t *testing.T) {
	const agents = 5_000
	f := newForge()
	f.file = append(f.file, make([]byte, agents*minFrame)...)
	entries := make([]Entry, agents)
	for i := range entries {
		agent, ok := splitKey(longKey(i))
		if !ok {
			t.Fatal("not a key")
		}
		entries[i] = Entry{ID: agent, Head: 1, offset: f.trailer.agents + int64(i)*minFrame, length: minFrame}
	}
	f.table(encodeTable(entries), key(entries[0].ID), agents, agents*minFrame)
	file := f.end(Summary{Deleted: agents})
	a := open(t, file)
	var err error
	allocated := allocates(func() { _, err = a.Agent(entries[0].ID) })
	if !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "names are too long") || allocated > 3*maxBlockKeys {
		t.Errorf("%d bytes of file, %d allocated: %v", len(file), allocated, err)
	}
}

// The longest names that a writer may be given make blocks that a reader takes.
func TestTable_LongNames(t *testing.T) {
	var items []Item
	for i := range 3000 {
		namespace, name := strings.Repeat("n", maxName), fmt.Sprint(10_000+i)
		items = append(items, &Agent{ID: hawser.AgentID{Namespace: namespace, Name: name}, Head: 1, Floor: 1})
	}
	if r := verify(t, open(t, pack(t, items))); !r.OK() || r.Deleted != 3000 {
		t.Errorf("%+v: %v", r, r.Err())
	}
}

// Segments take more memory than their contents, and count so; those without any
// take none. A writer refuses what a reader would.
func TestHostile_ManySegments(t *testing.T) {
	var r runs
	for i := range uint64(1000) {
		if err := r.note(&Segment{ID: i + 1}, 0); err != nil || len(r.list) != 1 {
			t.Fatalf("%d: %d runs, %v", i, len(r.list), err)
		}
	}
	r = runs{count: maxContents - segmentWeight - 1}
	for i, item := range []Item{&Segment{ID: 1}, &Content{Segment: 1}} {
		if err := r.note(item, 1); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := r.note(&Segment{ID: 2}, 1); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("one segment more: %v", err)
	}
	if got := contentsIn(r.list); got != 2*segmentWeight+1 {
		t.Errorf("%d", got)
	}

	w, err := NewWriter(&bytes.Buffer{}, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(&Agent{ID: id("a"), Head: 1, Live: 1, Versions: 1}); err != nil {
		t.Fatal(err)
	}
	w.indexed = maxContents - segmentWeight
	if err := w.Append(&Segment{ID: 1}); err != nil {
		t.Fatal(err)
	}
	err = w.Append(&Content{Segment: 1, Content: record.EncodeKeyframe([]byte("x"))})
	if !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "no reader takes") {
		t.Error(err)
	}
}

// Contents that claim or hold more than they may cost a version, and little
// memory.
func TestHostile_BombsInContents(t *testing.T) {
	enc, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	data := enc.EncodeAll(make([]byte, 64<<20), nil)
	for _, size := range []uint64{1, 1 << 20, 64<<20 - 1, hawser.MaxStateSize + 1, math.MaxInt64} {
		agent := &Agent{ID: id("a"), Head: 1, Live: 1, Versions: 1}
		content := &Content{Segment: 1, Content: record.Content{
			Kind: record.Keyframe, Encoding: record.Zstd, Size: size, Data: data, CRC32C: record.Checksum(data),
		}}
		v := &Version{Version: hawser.Version{Number: 1, Size: 64 << 20, State: hawser.VersionLive}, Kind: hawser.RequestSave, Segment: 1}
		f := newForge()
		s := f.section(agent, &Segment{ID: 1}, content, v)
		f.table(encodeTable([]Entry{{ID: agent.ID, Head: 1, Live: 1, Versions: 1, offset: s.offset, length: s.length}}), key(agent.ID), 1, s.length)
		file := f.end(Summary{Agents: 1})
		var err error
		allocated := allocates(func() { err = judge(t, file) })
		if !expected(err) || err == nil || allocated > 80<<20 {
			t.Errorf("claims %d: %d bytes allocated, %v", size, allocated, err)
		}
	}
}

// frames returns where the frames of a file begin, and where the last one ends.
func frames(t *testing.T, file []byte) []int64 {
	t.Helper()
	a := open(t, file)
	end := a.trailer.size - int64(trailerSize)
	at := []int64{a.begin}
	for next := a.begin; next < end; at = append(at, next) {
		h, _, err := readFrameHeader(a.r, next, end)
		if err != nil {
			t.Fatal(err)
		}
		next += h.length()
	}
	return at
}

// reseal gives a file another trailer, whose checksum is right.
func reseal(file []byte, t trailer) []byte {
	t.size = int64(len(file) + trailerSize)
	return appendTrailer(slices.Clip(file), t)
}

// A file that lacks frames is refused or found bad, also when its trailer was
// made for what is left.
func TestHostile_FramesMissing(t *testing.T) {
	file := pack(t, newSample().items)
	at := frames(t, file)
	whole := open(t, file).trailer
	for i := range len(at) - 1 {
		for name, left := range map[string][]byte{
			"cut before": file[:at[i]],
			"without":    slices.Concat(file[:at[i]], file[at[i+1]:at[len(at)-1]]),
		} {
			gone := at[len(at)-1] - int64(len(left))
			moved := whole
			for _, offset := range []*int64{&moved.agents, &moved.table, &moved.index, &moved.summary} {
				if *offset > at[i] {
					*offset = max(*offset-gone, at[i])
				}
			}
			for _, trailer := range []trailer{whole, moved} {
				if err := judge(t, reseal(left, trailer)); !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "offset") {
					t.Errorf("%s the frame at %d: %v", name, at[i], err)
				}
			}
		}
	}
}

// Offsets in the trailer that lead elsewhere are refused, whatever its checksum
// says.
func TestHostile_TrailerOffsets(t *testing.T) {
	file := small(t)
	body := len(file) - trailerSize
	crafted := []int64{0, -1, 1, math.MaxInt64, math.MinInt64, int64(body), int64(len(file)), 1 << 44}
	for _, at := range frames(t, file) {
		crafted = append(crafted, at, at+1, at-1)
	}
	for field := range 5 {
		for _, offset := range crafted {
			b := bytes.Clone(file)
			place := b[body+4+8*field:]
			if int64(binary.BigEndian.Uint64(place)) == offset {
				continue
			}
			binary.BigEndian.PutUint64(place, uint64(offset))
			sum := len(b) - len(endMagic) - 4
			binary.BigEndian.PutUint32(b[sum:], crc32.Checksum(b[body:sum], castagnoli))
			if err := judge(t, b); !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "offset") {
				t.Errorf("field %d is %d: %v", field, offset, err)
			}
		}
	}
}
