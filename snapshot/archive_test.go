// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/hawserdb/hawser"
)

// An archive gives back its header, every item in order, and every version's
// bytes, and verifies.
func TestArchive_RoundTrips(t *testing.T) {
	s := newSample()
	a := open(t, pack(t, s.items))
	if a.Header() != testHeader {
		t.Errorf("header is %+v", a.Header())
	}
	var got []Item
	for encoded, err := range a.Encoded() {
		if err != nil {
			t.Fatal(err)
		}
		item, err := ParseItem(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item)
	}
	if !reflect.DeepEqual(got, s.items) {
		t.Errorf("%d items came back as others: %d", len(s.items), len(got))
	}
	versions := 0
	for e, err := range a.Agents("", "") {
		if err != nil {
			t.Fatal(err)
		}
		h, err := a.History(e)
		if err != nil {
			t.Fatal(err)
		}
		for v, err := range h.Versions() {
			if err != nil {
				t.Fatal(err)
			}
			state, err := h.Materialise(v)
			if v.State == hawser.VersionBad {
				if !errors.Is(err, hawser.ErrCorrupt) {
					t.Errorf("a bad version was handed out: %v", err)
				}
				continue
			}
			if err != nil || !bytes.Equal(state, s.states[hawser.VersionRef{Agent: e.ID, Number: v.Number}]) {
				t.Errorf("%s@%d: %d bytes, %v", e.ID, v.Number, len(state), err)
			}
			versions++
		}
	}
	if versions != len(s.states)-1 {
		t.Errorf("%d versions of %d", versions, len(s.states)-1)
	}
	r := verify(t, a)
	if !r.OK() || !r.SHA256 || r.Versions != uint64(len(s.states)) || r.KnownBad != 1 || r.Agents != 4 || r.Deleted != 1 || r.Err() != nil {
		t.Errorf("%+v: %v", r, r.Err())
	}
}

// Versions can be asked for in any order, also against the order of the file.
func TestHistory_AnyOrder(t *testing.T) {
	s := newSample()
	a := open(t, pack(t, s.items))
	e, err := a.Agent(id("crew/b"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := a.History(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []uint64{6, 1, 6, 3, 2, 0, 4} {
		v, err := h.Version(number)
		if err != nil {
			t.Fatal(err)
		}
		state, err := h.Materialise(v)
		if err != nil || !bytes.Equal(state, s.states[hawser.VersionRef{Agent: e.ID, Number: v.Number}]) {
			t.Errorf("version %d: %v", number, err)
		}
	}
	if _, err := h.Version(7); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("version 7: %v", err)
	}
	if got := h.Agent(); got.Head != 6 {
		t.Errorf("%+v", got)
	}
}

// The table has what is in the archive, and a prefix finds whole segments.
func TestArchive_Agents(t *testing.T) {
	a := open(t, pack(t, newSample().items))
	for _, tc := range []struct {
		namespace, prefix string
		want              []string
	}{
		{"", "", []string{"crew/a", "crew/b", "crew/deleted", "crewman", "zed"}},
		{"default", "", []string{"crew/a", "crew/b", "crew/deleted", "crewman", "zed"}},
		{"default", "crew", []string{"crew/a", "crew/b", "crew/deleted"}},
		{"default", "crew/", []string{"crew/a", "crew/b", "crew/deleted"}},
		{"default", "crewman", []string{"crewman"}},
		{"default", "crewman/", nil},
		{"default", "crew/b", []string{"crew/b"}},
		{"defaul", "", nil},
		{"zzz", "", nil},
	} {
		var got []string
		for e, err := range a.Agents(tc.namespace, tc.prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.ID.Name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q %q: %q, want %q", tc.namespace, tc.prefix, got, tc.want)
		}
	}
	e, err := a.Agent(id("crew/b"))
	if err != nil || e.Live != 6 || e.Versions != 6 || e.Newest.Sub(e.Oldest).Seconds() != 5 || e.ContentBytes != 900+960+1020+1080+1140+1200 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := a.Agent(id("crew/deleted")); err != nil || e.Live != 0 || e.Head != 12 || !e.Newest.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := a.Agent(id("crew")); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("an agent that is not there: %v", err)
	}
	sum := a.Summary()
	if sum.Agents != 4 || sum.Deleted != 1 || sum.Versions != 13 || sum.BadVersions != 1 || sum.Policies != 1 || sum.Floors != 1 || sum.StoredBytes == 0 {
		t.Errorf("%+v", sum)
	}
}

// An archive of nothing is an archive.
func TestArchive_Empty(t *testing.T) {
	a := open(t, pack(t, nil))
	for e, err := range a.Agents("", "") {
		t.Errorf("%+v, %v", e, err)
	}
	if r := verify(t, a); !r.OK() || a.Summary() != (Summary{}) {
		t.Errorf("%+v, %+v", r, a.Summary())
	}
}

// The writer refuses items that no reader could make sense of, and says the
// same again afterwards.
func TestWriter_RefusesWhatDoesNotFit(t *testing.T) {
	key := func(segment uint64, position uint32) *Content {
		s := &sample{}
		s.run(Segment{ID: segment}, nil, position, []byte("x"))
		return s.items[1].(*Content)
	}
	agent := func(name string) *Agent { return &Agent{ID: id(name), Head: 1, Live: 1, Versions: 1} }
	s := &sample{states: map[hawser.VersionRef][]byte{}}
	version := s.version(agent("a"), 1, []byte("x"), 1, 0)
	delta := *key(1, 1)
	delta.Kind = 2
	whole := []Item{agent("a"), &Segment{ID: 1}, key(1, 0), version}
	for name, items := range map[string][]Item{
		"no agent":               {&Segment{ID: 1}},
		"policy after agents":    append(slices.Clone(whole), &Policy{hawser.Policy{Namespace: "default"}}),
		"floor twice":            {&Floor{Namespace: "a"}, &Floor{Namespace: "a"}},
		"agent twice":            append(slices.Clone(whole), agent("a")),
		"agents descending":      append([]Item{agent("b"), &Segment{ID: 1}, key(1, 0), version}, agent("a")),
		"version missing":        {agent("a"), &Segment{ID: 1}, key(1, 0), agent("b")},
		"segment without any":    {agent("a"), &Segment{ID: 1}, version},
		"segments descending":    {agent("a"), &Segment{ID: 2}, key(2, 0), &Segment{ID: 1}},
		"content of another":     {agent("a"), &Segment{ID: 1}, key(2, 0)},
		"content out of place":   {agent("a"), &Segment{ID: 1}, key(1, 1)},
		"keyframe after parent":  {agent("a"), &Segment{ID: 2, Parent: 1, First: 1}, key(2, 1)},
		"delta without parent":   {agent("a"), &Segment{ID: 1, First: 1}, &delta},
		"unknown segment":        {agent("a"), version, agent("b")},
		"position not there":     {agent("a"), &Segment{ID: 1}, key(1, 0), s.version(agent("a"), 1, nil, 1, 1), agent("b")},
		"part of nothing":        {agent("a"), &Segment{ID: 1}, key(1, 0), &Part{Data: []byte("x")}},
		"segment after versions": append(slices.Clone(whole), &Segment{ID: 2}),
	} {
		w, err := NewWriter(&bytes.Buffer{}, testHeader)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if err = w.Append(item); err != nil {
				break
			}
		}
		if !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		} else if again := w.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: Close says %v, not %v", name, again, err)
		}
	}
}

// A writer whose disk is full says so and goes on saying it.
func TestWriter_RepeatsErrors(t *testing.T) {
	s := newSample()
	size := len(pack(t, s.items))
	for limit := 0; limit < size; limit += size/50 + 1 {
		full := &fullDisk{left: limit}
		w, err := NewWriter(full, testHeader)
		for _, item := range s.items {
			if err == nil {
				err = w.Append(item)
			}
		}
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("%d bytes of %d: %v", limit, size, err)
		}
		if w != nil && !errors.Is(w.Close(), errFull) {
			t.Fatalf("%d bytes: the error is forgotten", limit)
		}
	}
}

var errFull = errors.New("disk full")

type fullDisk struct{ left int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return f.left, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// Diff names what was added, removed and changed, and nothing else.
func TestDiff(t *testing.T) {
	before := newSample()
	after := newSample()
	removed, changed := false, false
	items := after.items[:0]
	for _, item := range after.items { // zed goes; crewman gets another end
		if a, ok := item.(*Agent); ok {
			removed, changed = a.ID.Name == "zed", a.ID.Name == "crewman"
			if a.ID.Name == "crewman" {
				a.Versions = 1
				a.Head, a.Live = 1, 1
			}
		}
		segment, isSegment := item.(*Segment)
		content, isContent := item.(*Content)
		v, isVersion := item.(*Version)
		if removed || changed && (isSegment && segment.ID == 21 || isContent && content.Segment == 21 || isVersion && v.Number == 2) {
			continue
		}
		items = append(items, item)
	}
	fresh := &sample{states: map[hawser.VersionRef][]byte{}}
	f := fresh.agent("new", 1)
	fresh.run(Segment{ID: 50}, nil, 0, []byte("new"))
	fresh.version(f, 1, []byte("new"), 50, 0)
	from, to := open(t, pack(t, before.items)), open(t, pack(t, append(items, fresh.items...)))
	var got []string
	for c, err := range Diff(from, to) {
		if err != nil {
			t.Fatal(err)
		}
		kind := "changed"
		switch {
		case c.Old == nil:
			kind = "added"
		case c.New == nil:
			kind = "removed"
		}
		got = append(got, kind+" "+c.ID.Name)
	}
	if want := []string{"changed crewman", "added new", "removed zed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for c := range Diff(from, from) {
		t.Errorf("an archive differs from itself: %+v", c)
	}
}

// Many forks of one agent cost no more to verify than what is in the file: what
// they share is read once, not once for each. Method: the bytes read.
func TestVerify_ManyForks(t *testing.T) {
	s := newSample()
	s.items = nil
	template := s.agent("a-template", 40)
	states := [][]byte{s.noise(5_000)}
	for range 39 {
		states = append(states, append(bytes.Clone(states[len(states)-1]), s.noise(2_000)...))
	}
	s.run(Segment{ID: 1, Shared: true}, nil, 0, states...)
	for i, state := range states {
		s.version(template, uint64(i+1), state, 1, uint32(i))
	}
	const forks = 300
	for i := range forks {
		a := s.agent(fmt.Sprintf("fork-%03d", i), 1)
		s.version(a, 1, states[i%40], 1, uint32(i%40)).Kind = hawser.RequestFork
	}
	file := pack(t, s.items)
	counter := &countingReader{r: bytes.NewReader(file)}
	a, err := Open(counter, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, a); !r.OK() || r.Versions != forks+40 {
		t.Fatalf("%+v: %v", r, r.Err())
	}
	if times := float64(counter.bytes) / float64(len(file)); times > 6 {
		t.Errorf("%.1f times the file was read", times)
	}
}
