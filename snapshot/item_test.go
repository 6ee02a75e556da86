// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

func testItems() []Item {
	expect := uint64(6)
	id := hawser.AgentID{Namespace: "default", Name: "crew/planner"}
	other := hawser.AgentID{Namespace: "research", Name: "überblick"}
	return []Item{
		&Policy{hawser.Policy{Namespace: "default"}},
		&Policy{hawser.Policy{Namespace: "default", Prefix: "crew", Retention: hawser.Retention{
			KeepLast: 10, KeepWithin: math.MaxInt64, KeepHourly: 24, KeepDaily: 7, KeepWeekly: math.MaxUint64,
		}}},
		&Floor{Namespace: "default", Number: 812, Epoch: 3},
		&Agent{ID: id, Head: 7, Live: 7, Floor: 2, Epoch: 1, Versions: 2, Created: 1e18, Deleted: 1},
		&Agent{ID: other, Head: 9, Floor: 9, Deleted: 1e18},
		&Segment{ID: 1},
		&Segment{ID: 40, Parent: 1, ParentPosition: 64, First: 65, Shared: true},
		&Content{Segment: 1, Position: 0, Content: record.Content{Kind: record.Keyframe, Encoding: record.Raw, Size: 3, CRC32C: 0xfffffff0, Data: []byte("abc")}},
		&Content{Segment: 40, Position: maxPosition, Content: record.Content{Kind: record.Keyframe, Encoding: record.Zstd, Size: math.MaxInt64, Parts: 2048}},
		&Part{Index: 2047, Data: make([]byte, record.PartSize)},
		&Version{
			Kind: hawser.RequestSave, Segment: 1, Nonce: hawser.Nonce{1, 2},
			Version: hawser.Version{Number: 1, State: hawser.VersionLive, CreatedAt: time.Unix(0, 0).UTC()},
		},
		&Version{
			Kind: hawser.RequestFork, Nonce: hawser.Nonce{15: 9}, Expect: &expect, Segment: 40, Position: 65,
			Version: hawser.Version{
				Number: 7, Size: 1 << 30, SHA256: hawser.Hash{31: 1}, Parent: 6, Epoch: 1, Instance: "pod-1", Labels: map[string]string{"b": "", "": "x", "a": "y"},
				ContentType: "application/json", Schema: "s", CreatedAt: time.Unix(0, 1e18+1).UTC(), Revision: 99, State: hawser.VersionBad, StoredSize: 12,
				Origin: hawser.VersionRef{Agent: other, Number: 3}, DerivedFrom: []hawser.VersionRef{{Agent: id, Number: 6}, {Agent: other, Number: 1}}, Pinned: true,
			},
		},
	}
}

// Every item comes back as it was, and has one encoding.
func TestItem_RoundTrips(t *testing.T) {
	for _, item := range testItems() {
		encoded := AppendItem([]byte("before"), item)[6:]
		got, err := ParseItem(encoded)
		if err != nil {
			t.Errorf("%+v: %v", item, err)
		} else if !reflect.DeepEqual(got, item) {
			t.Errorf("got %+v, want %+v", got, item)
		}
	}
}

// An item that is cut short anywhere, or goes on, is refused, unless its last
// field takes all that there is.
func TestParseItem_RefusesOtherLengths(t *testing.T) {
	for _, item := range testItems() {
		encoded := AppendItem(nil, item)
		if len(encoded) > 1000 {
			encoded = encoded[:1000]
		}
		for n := range encoded {
			got, err := ParseItem(encoded[:n])
			if _, open := item.(*Part); err == nil && !open || err != nil && !errors.Is(err, hawser.ErrCorrupt) {
				t.Fatalf("%+v, cut to %d bytes: %+v, %v", item, n, got, err)
			}
		}
		_, isPart := item.(*Part)
		if got, err := ParseItem(append(encoded, 0)); !isPart && !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%+v with a byte more: %+v, %v", item, got, err)
		}
	}
}

// What cannot be is refused, with words that say what is wrong.
func TestParseItem_RefusesNonsense(t *testing.T) {
	id := hawser.AgentID{Namespace: "default", Name: "a"}
	version := func(change func(*Version)) *Version {
		v := testItems()[10].(*Version)
		change(v)
		return v
	}
	content := func(change func(*Content)) *Content {
		c := testItems()[7].(*Content)
		change(c)
		return c
	}
	for want, items := range map[string][]Item{
		"name": {
			&Floor{Number: 1}, &Floor{Namespace: "a\x00b"}, &Agent{ID: hawser.AgentID{Namespace: "x"}, Head: 1},
			&Agent{ID: hawser.AgentID{Namespace: "x", Name: strings.Repeat("a", 5000)}, Head: 1}, &Policy{},
			version(func(v *Version) { v.Origin.Number = 1 }), version(func(v *Version) { v.DerivedFrom = make([]hawser.VersionRef, 9) }),
		},
		"prefix":            {&Policy{hawser.Policy{Namespace: "a", Prefix: "b/"}}, &Policy{hawser.Policy{Namespace: "a", Prefix: "\n"}}},
		"numbers":           {&Agent{ID: id}, &Agent{ID: id, Head: 1, Live: 2, Versions: 1}, &Agent{ID: id, Head: 1, Floor: 2}},
		"so many versions":  {&Agent{ID: id, Head: 1, Versions: 1}, &Agent{ID: id, Head: 2, Live: 1, Floor: 1, Versions: 1}, &Agent{ID: id, Head: 2, Live: 2, Versions: 3}},
		"parent":            {&Segment{}, &Segment{ID: 2, Parent: 2}, &Segment{ID: 2, ParentPosition: 1}, &Segment{ID: 1 << 63}},
		"absurd":            {&Segment{ID: 1, First: maxPosition + 1}, content(func(c *Content) { c.Size = 1 << 63 }), &Part{Index: maxItemParts + 1}, &Agent{ID: id, Head: 1, Deleted: -1}},
		"segment":           {content(func(c *Content) { c.Segment = 0 }), version(func(v *Version) { v.Segment = 0 })},
		"kind":              {content(func(c *Content) { c.Kind = 3 })},
		"encoding":          {content(func(c *Content) { c.Encoding = 0 }), content(func(c *Content) { c.Kind, c.Encoding = record.Delta, record.Zstd })},
		"bytes":             {content(func(c *Content) { c.Size = 2 })},
		"beside":            {content(func(c *Content) { c.Parts = 1 })},
		"parts":             {content(func(c *Content) { c.Parts, c.Data, c.Size = 1, nil, record.PartSize+1 })},
		"piece":             {content(func(c *Content) { c.Data, c.Size = make([]byte, record.MaxInline+1), record.MaxInline+1 })},
		"length":            {&Part{}, &Part{Data: make([]byte, record.PartSize+1)}},
		"made":              {version(func(v *Version) { v.Kind = hawser.RequestDelete }), version(func(v *Version) { v.Kind = 5 })},
		"state":             {version(func(v *Version) { v.State = hawser.VersionGone })},
		"number is":         {version(func(v *Version) { v.Number = 0 }), version(func(v *Version) { v.Parent = 1 })},
		"type 0":            {rawItem{0}},
		"newer":             {rawItem{8}, rawItem{255}},
		"empty":             {rawItem{}},
		"flag":              {rawItem(flipped(version(func(*Version) {}), 3, 8)), rawItem(flipped(&Segment{ID: 1}, 5, 2))},
		"malformed number":  {rawItem{byte(typeFloor), 0x81, 0x00}},
		"the most is":       {rawItem(append([]byte{byte(typePart)}, make([]byte, MaxItem)...))},
		"labels":            {rawItem(swappedLabels())},
		"cut short":         {rawItem(binary.AppendUvarint([]byte{byte(typeFloor)}, math.MaxUint64))},
		"a part: its lengt": {rawItem{byte(typePart), 0}},
	} {
		for _, item := range items {
			encoded, ok := item.(rawItem)
			if !ok {
				encoded = AppendItem(nil, item)
			}
			got, err := ParseItem(encoded)
			if !errors.Is(err, hawser.ErrCorrupt) || !strings.Contains(err.Error(), want) {
				t.Errorf("%T %+v: %+v, %v, want an error that says %q", item, item, got, err, want)
			}
		}
	}
}

// rawItem is an item given by its bytes.
type rawItem []byte

func (rawItem) itemType() itemType           { return 0 }
func (rawItem) appendBody(dst []byte) []byte { return dst }
func (rawItem) parseBody(*itemReader)        {}

func flipped(item Item, at int, bit byte) []byte {
	b := AppendItem(nil, item)
	b[at] ^= bit
	return b
}

func swappedLabels() []byte {
	v := testItems()[10].(*Version)
	v.Labels = map[string]string{"kb": "", "ka": ""}
	b := AppendItem(nil, v)
	i := bytes.Index(b, []byte("ka"))
	copy(b[i:], "kc")
	return b
}

// FuzzParseItem: any bytes are refused or are the one encoding of what they
// hold, without a panic.
func FuzzParseItem(f *testing.F) {
	for _, item := range testItems() {
		if encoded := AppendItem(nil, item); len(encoded) < 1000 {
			f.Add(encoded)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		item, err := ParseItem(b)
		if err != nil {
			if item != nil || !errors.Is(err, hawser.ErrCorrupt) {
				t.Fatalf("%+v, %v", item, err)
			}
			return
		}
		if again := AppendItem(nil, item); !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %+v, which is written as %x", b, item, again)
		}
	})
}
