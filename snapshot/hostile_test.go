// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// small is a sample without its large state, for tests that try every byte.
func small(t testing.TB) []byte {
	t.Helper()
	s := newSample()
	var items []Item
	skip := false
	for _, item := range s.items {
		if a, ok := item.(*Agent); ok {
			skip = a.ID.Name == "crewman"
		}
		if !skip {
			items = append(items, item)
		}
	}
	return pack(t, items)
}

// judge opens and verifies a file and returns what is wrong with it.
func judge(t testing.TB, file []byte) error {
	t.Helper()
	a, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	r, err := a.Verify(t.Context(), nil)
	if err != nil {
		return err
	}
	return r.Err()
}

// A file that is cut short anywhere is refused when it is opened.
func TestHostile_Truncated(t *testing.T) {
	file := small(t)
	for n := range file {
		if _, err := Open(bytes.NewReader(file[:n]), int64(n)); !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "offset") {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(file), err)
		}
	}
	if err := judge(t, append(bytes.Clone(file), 0)); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
}

// Every flipped bit is found.
func TestHostile_FlippedBits(t *testing.T) {
	file := small(t)
	if err := judge(t, file); err != nil {
		t.Fatal(err)
	}
	for i := range file {
		for bit := range 8 {
			if testing.Short() && bit != i%8 {
				continue
			}
			file[i] ^= 1 << bit
			err := judge(t, file)
			if code := hawser.CodeOf(err); code != hawser.CodeCorrupt && (code != hawser.CodeUnimplemented || i != 8 && i != 9) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			file[i] ^= 1 << bit
		}
	}
}

// A damaged frame is named by its offset and its agent, and the versions that
// it costs are named; those of other agents are not among them.
func TestVerify_NamesTheDamage(t *testing.T) {
	file := pack(t, newSample().items)
	a := open(t, file)
	e, err := a.Agent(id("crew/b"))
	if err != nil {
		t.Fatal(err)
	}
	file[e.offset+frameHeader+20] ^= 4
	r := verify(t, open(t, file))
	if r.First == nil || r.First.Offset != e.offset || r.First.Agent != e.ID || r.SHA256 {
		t.Fatalf("%+v", r.First)
	}
	if len(r.Bad) != 1 || r.Bad[0].Agent != e.ID || r.Bad[0].Number != 0 || !strings.Contains(r.Bad[0].Err.Error(), "6 of 6 versions") {
		t.Errorf("%+v", r.Bad)
	}
	if err := r.Err(); !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "default/crew/b") {
		t.Error(err)
	}
	h, err := open(t, file).History(e)
	if !errors.Is(err, hawser.ErrCorrupt) || h == nil {
		t.Fatalf("a damaged history opens without a word: %v", err)
	}
	if _, err := h.Version(3); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("a version that was in a damaged frame: %v", err)
	}

	// crew/a holds what both share: both lose versions, crew/b only the first.
	file[e.offset+frameHeader+20] ^= 4
	shared, err := a.Agent(id("crew/a"))
	if err != nil {
		t.Fatal(err)
	}
	file[shared.offset+frameHeader+20] ^= 4
	r = verify(t, open(t, file))
	bad := map[string]int{}
	for _, b := range r.Bad {
		bad[b.Agent.Name]++
	}
	if r.First.Offset != shared.offset || r.First.Agent != shared.ID || bad["crew/a"] != 1 || bad["crew/b"] != 6 || len(bad) != 2 {
		t.Errorf("%+v, %v", r.First, bad)
	}
}

// The frames after a damaged one of the same agent are still read.
func TestVerify_GoesOnBehindDamage(t *testing.T) {
	s := newSample()
	a := s.agent("zzz", 12)
	for i := range 12 {
		s.add(&Segment{ID: uint64(100 + i)})
		s.content(&Content{Segment: uint64(100 + i), Content: record.EncodeKeyframe(s.noise(2 * record.PartSize))})
	}
	states := contentsOf(s.items)
	for i := range 12 {
		s.version(a, uint64(i+1), states[100+i], uint64(100+i), 0)
	}
	file := pack(t, s.items)
	e, err := open(t, file).Agent(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	file[e.offset+frameHeader+300_000] ^= 1 // in the second version of several frames
	r := verify(t, open(t, file))
	if len(r.Bad) == 0 || len(r.Bad) >= 12 || r.Versions != uint64(len(s.states)) || r.First.Offset != e.offset {
		t.Errorf("%d bad, %d versions, %+v", len(r.Bad), r.Versions, r.First)
	}
	for _, b := range r.Bad {
		if b.Agent != a.ID || b.Number == 0 {
			t.Errorf("%+v", b)
		}
	}
}

// contentsOf returns the raw keyframes in parts, by segment.
func contentsOf(items []Item) map[int][]byte {
	states, segment := map[int][]byte{}, 0
	for _, item := range items {
		switch item := item.(type) {
		case *Content:
			segment = int(item.Segment)
		case *Part:
			states[segment] = append(states[segment], item.Data...)
		}
	}
	return states
}

// forge makes an archive out of parts that no writer makes: every checksum is
// right. Sections are frames of an agent.
type forge struct {
	file    []byte
	trailer trailer
	index   []byte
}

func newForge() *forge {
	f := &forge{file: encodeHeader(testHeader)}
	f.trailer.agents = int64(len(f.file))
	return f
}

// section adds a frame of items and returns where it begins.
func (f *forge) section(items ...Item) span {
	var payload []byte
	for _, item := range items {
		encoded := AppendItem(nil, item)
		payload = append(binary.AppendUvarint(payload, uint64(len(encoded))), encoded...)
	}
	offset := int64(len(f.file))
	f.file = appendFrame(f.file, frameAgent, offset, payload)
	return span{offset, int64(len(f.file)) - offset}
}

// table adds a block, as it is, and its entry of the index.
func (f *forge) table(payload []byte, first string, agents uint64, sections int64) {
	if f.trailer.table == 0 {
		f.trailer.table = int64(len(f.file))
	}
	at := len(f.file)
	f.file = appendFrame(f.file, frameTable, int64(at), payload)
	f.index = appendBlock(f.index, block{first: first, length: int64(len(f.file) - at), agents: agents}, sections)
}

func (f *forge) end(s Summary) []byte {
	if f.trailer.table == 0 {
		f.trailer.table = int64(len(f.file))
	}
	f.trailer.index = int64(len(f.file))
	if len(f.index) > 0 {
		f.file = appendFrame(f.file, frameIndex, f.trailer.index, f.index)
	}
	return f.seal(s)
}

// seal adds the summary and the trailer.
func (f *forge) seal(s Summary) []byte {
	f.trailer.summary = int64(len(f.file))
	f.file = appendFrame(f.file, frameSummary, f.trailer.summary, encodeSummary(s))
	f.trailer.size = int64(len(f.file) + trailerSize)
	return appendTrailer(f.file, f.trailer)
}

// Tables that overlap, double, leave gaps or are out of order are refused,
// whatever their checksums say.
func TestHostile_Tables(t *testing.T) {
	one := func(name string, s span) Entry {
		return Entry{ID: id(name), Head: 1, offset: s.offset, length: s.length}
	}
	deleted := func(name string) Item { return &Agent{ID: id(name), Head: 1, Floor: 1} }
	for name, build := range map[string]func(f *forge){
		"the same agent twice": func(f *forge) {
			a, b := f.section(deleted("a")), f.section(deleted("a"))
			f.table(encodeTable([]Entry{one("a", a), one("a", b)}), key(id("a")), 2, a.length+b.length)
		},
		"the same agent in two blocks": func(f *forge) {
			a, b := f.section(deleted("a")), f.section(deleted("a"))
			f.table(encodeTable([]Entry{one("a", a)}), key(id("a")), 1, a.length)
			f.table(encodeTable([]Entry{one("a", b)}), key(id("a")), 1, b.length)
		},
		"a block that runs into the next": func(f *forge) {
			a, b := f.section(deleted("a")), f.section(deleted("b"))
			f.table(encodeTable([]Entry{one("a", a), one("c", a)}), key(id("a")), 2, a.length*2)
			f.table(encodeTable([]Entry{one("b", b)}), key(id("b")), 1, b.length)
		},
		"a section longer than there is": func(f *forge) {
			a := f.section(deleted("a"))
			a.length *= 2
			f.table(encodeTable([]Entry{one("a", a)}), key(id("a")), 1, a.length/2)
		},
		"a section of nobody": func(f *forge) {
			a := f.section(deleted("a"))
			f.section(deleted("b"))
			f.table(encodeTable([]Entry{one("a", a)}), key(id("a")), 1, a.length)
		},
		"more agents than there are": func(f *forge) {
			a := f.section(deleted("a"))
			f.table(encodeTable([]Entry{one("a", a)}), key(id("a")), 1<<60, a.length)
		},
		"another agent than its items say": func(f *forge) {
			a := f.section(deleted("b"))
			f.table(encodeTable([]Entry{one("a", a)}), key(id("a")), 1, a.length)
		},
		"needs what lies behind": func(f *forge) {
			a := f.section(deleted("a"))
			e := one("a", a)
			e.needs = []span{{a.offset - 1, 30}}
			f.table(encodeTable([]Entry{e}), key(id("a")), 1, a.length)
		},
		"absurd length": func(f *forge) {
			a := f.section(deleted("a"))
			f.table(encodeTable([]Entry{one("a", span{a.offset, 1<<63 - 1})}), key(id("a")), 1, a.length)
		},
		"no table": func(f *forge) { f.section(deleted("a")) },
	} {
		f := newForge()
		build(f)
		if err := judge(t, f.end(Summary{Deleted: 1})); !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name in the items is data, whatever it holds; one that cannot be part of a
// key is refused.
func TestHostile_Names(t *testing.T) {
	for name, good := range map[string]bool{"../../etc/passwd": true, "/abs": true, "": false, "a\x00b": false, "a\x1b[2J": false, strings.Repeat("x", 5000): false} {
		f := newForge()
		agent := &Agent{ID: id(name), Head: 1, Floor: 1}
		s := f.section(agent)
		f.table(encodeTable([]Entry{{ID: agent.ID, Head: 1, offset: s.offset, length: s.length}}), key(agent.ID), 1, s.length)
		err := judge(t, f.end(Summary{Deleted: 1, StoredBytes: s.length}))
		if good && !strings.Contains(err.Error(), "does not have the SHA-256") || !good && !strings.Contains(err.Error(), "name") {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// Segments whose parents lead nowhere, or round in circles, cost a bounded
// number of steps.
func TestHostile_Cycles(t *testing.T) {
	delta := func(segment uint64, position uint32) *Content {
		c, _ := record.EncodeDelta([]byte("abcdef"), []byte("abcdefg"))
		return &Content{Segment: segment, Position: position, Content: c}
	}
	v := &Version{Version: hawser.Version{Number: 1, Size: 1, State: hawser.VersionLive}, Kind: hawser.RequestSave, Segment: 2, Position: 0}
	agent := &Agent{ID: id("a"), Head: 1, Live: 1, Versions: 1}
	f := newForge()
	// 2 follows 1, and 1 is there again with a parent further up: itself.
	s := f.section(agent,
		&Segment{ID: 1, First: 0, Shared: true}, delta(1, 0), delta(1, 1),
		&Segment{ID: 2, Parent: 1, ParentPosition: 1, First: 0}, delta(2, 0), v)
	e := Entry{ID: agent.ID, Head: 1, Live: 1, Versions: 1, offset: s.offset, length: s.length}
	f.table(encodeTable([]Entry{e}), key(agent.ID), 1, s.length)
	if err := judge(t, f.end(Summary{})); !errors.Is(err, hawser.ErrCorrupt) {
		t.Error(err)
	}

	h := &History{runs: []run{ // as no section can say it, for ids of parents are lower
		{segment: 1, parent: 2, parentPosition: 1, first: 1, from: 1, contents: []place{1}},
		{segment: 2, parent: 1, parentPosition: 1, first: 1, from: 1, contents: []place{1}},
	}}
	if _, err := h.path(1, 1); !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "not within 65") {
		t.Error(err)
	}
}

// Frames that claim or hold more than a frame may are refused before memory is
// taken for them.
func TestHostile_Bombs(t *testing.T) {
	enc, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	bomb := enc.EncodeAll(make([]byte, 256<<20), nil)
	for name, unpacked := range map[string]uint32{"claims its size": 256 << 20, "claims the most": maxFrame, "claims 4 GiB": 1<<32 - 1, "claims nothing": 0} {
		frame := append([]byte{byte(frameAgent), zstdFrame, 0, 0}, make([]byte, 12)...)
		binary.BigEndian.PutUint32(frame[4:], uint32(len(bomb)))
		binary.BigEndian.PutUint32(frame[8:], unpacked)
		frame = append(frame, bomb...)
		placeFrame(frame, 0)
		allocated := allocates(func() {
			_, _, err = readFrame(bytes.NewReader(frame), frameAgent, 0, int64(len(frame)))
		})
		if !errors.Is(err, hawser.ErrCorrupt) || allocated > 8<<20 {
			t.Errorf("%s: %d bytes allocated, %v", name, allocated, err)
		}
	}
	head := append([]byte{byte(frameAgent), rawFrame, 0, 0}, make([]byte, 12)...)
	binary.BigEndian.PutUint32(head[4:], maxFrame)
	binary.BigEndian.PutUint32(head[8:], maxFrame)
	allocated := allocates(func() { _, _, err = readFrame(bytes.NewReader(head), frameAgent, 0, int64(len(head))+1) })
	if !errors.Is(err, hawser.ErrCorrupt) || allocated > 1<<16 {
		t.Errorf("%d bytes allocated, %v", allocated, err)
	}
}

func allocates(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A file of another kind and one of a newer format are told apart.
func TestHostile_OtherFormats(t *testing.T) {
	file := small(t)
	zip := "PK\x03\x04 and so on, a zip file"
	if _, err := Open(strings.NewReader(zip), int64(len(zip))); !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), "not an archive") {
		t.Error(err)
	}
	newer := bytes.Clone(file)
	newer[9] = 2
	n := binary.BigEndian.Uint32(newer[12:])
	binary.BigEndian.PutUint32(newer[n-4:], crc32.Checksum(newer[:n-4], castagnoli))
	_, err := Open(bytes.NewReader(newer), int64(len(newer)))
	if !errors.Is(err, hawser.ErrUnimplemented) || !strings.Contains(err.Error(), "format 2") {
		t.Error(err)
	}
}
