// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

var testHeader = Header{
	ClusterID: [16]byte{1, 2, 15: 16}, Generation: 1_700_000_000, Revision: 4711,
	CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC),
}

// sample makes the items of a small cluster: histories with deltas, a fork, an
// agent whose contents come with its fork, a state in parts, a deleted agent, a
// version that is marked as bad.
type sample struct {
	items  []Item
	states map[hawser.VersionRef][]byte
	random *rand.Rand
}

func id(name string) hawser.AgentID { return hawser.AgentID{Namespace: "default", Name: name} }

// text returns n bytes of which about half are new each time.
func (s *sample) text(n int) []byte {
	b := make([]byte, 0, n+40)
	for len(b) < n {
		b = fmt.Appendf(b, "step %d: the observation is %x\n", s.random.IntN(1000), s.random.Uint32())
	}
	return b[:n]
}

// noise returns n bytes that do not pack.
func (s *sample) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	return b
}

func (s *sample) add(items ...Item) { s.items = append(s.items, items...) }

// agent adds an agent with live versions up to its head.
func (s *sample) agent(name string, versions int) *Agent {
	a := &Agent{ID: id(name), Head: uint64(versions), Live: uint64(versions), Versions: uint64(versions), Created: 1e18}
	s.add(a)
	return a
}

// run adds a segment of states: a keyframe, or deltas after a base.
func (s *sample) run(segment Segment, base []byte, from uint32, states ...[]byte) {
	s.add(&segment)
	for i, state := range states {
		c := record.EncodeKeyframe(state)
		if base != nil {
			var ok bool
			if c, ok = record.EncodeDelta(base, state); !ok {
				panic("no delta")
			}
		}
		s.content(&Content{Segment: segment.ID, Position: from + uint32(i), Content: c})
		base = state
	}
}

// content adds a content, in parts if it is long.
func (s *sample) content(c *Content) {
	if len(c.Data) <= record.MaxInline {
		s.add(c)
		return
	}
	parts := record.PartsOf(c.Data)
	c.Data, c.Parts = nil, uint32(len(parts))
	s.add(c)
	for i, part := range parts {
		s.add(&Part{Index: uint32(i), Data: part})
	}
}

func (s *sample) version(a *Agent, number uint64, state []byte, segment uint64, position uint32) *Version {
	v := &Version{
		Version: hawser.Version{
			Number: number, Size: int64(len(state)), SHA256: sha256.Sum256(state), Parent: number - 1, State: hawser.VersionLive,
			CreatedAt: time.UnixMilli(1_700_000_000_000 + int64(number)*1000).UTC(), Revision: hawser.Revision(number), StoredSize: 10,
			Labels: map[string]string{"step": fmt.Sprint(number)},
		},
		Kind: hawser.RequestSave, Nonce: hawser.Nonce{byte(number)}, Segment: segment, Position: position,
	}
	s.add(v)
	s.states[hawser.VersionRef{Agent: a.ID, Number: number}] = state
	return v
}

func newSample() *sample {
	s := &sample{states: map[hawser.VersionRef][]byte{}, random: rand.New(rand.NewPCG(1, 2))}
	s.add(&Policy{hawser.Policy{Namespace: "default", Retention: hawser.Retention{KeepLast: 10}}})
	s.add(&Floor{Namespace: "default", Number: 9, Epoch: 1})

	states := [][]byte{s.text(900)}
	for range 5 {
		last := states[len(states)-1]
		states = append(states, append(bytes.Clone(last), s.text(60)...))
	}
	// crew/a forked crew/b at its third version and comes first: it brings what
	// both need. crew/b brings the rest.
	a := s.agent("crew/a", 2)
	s.run(Segment{ID: 7, Shared: true}, nil, 0, states[:3]...)
	own := append(bytes.Clone(states[2]), "and another end"...)
	s.run(Segment{ID: 12, Parent: 7, ParentPosition: 2, First: 3}, states[2], 3, own)
	s.version(a, 1, states[2], 7, 2).Kind = hawser.RequestFork
	s.version(a, 2, own, 12, 3)

	b := s.agent("crew/b", 6)
	s.run(Segment{ID: 7, Shared: true}, states[2], 3, states[3:]...)
	for i, state := range states {
		s.version(b, uint64(i+1), state, 7, uint32(i))
	}

	s.add(&Agent{ID: id("crew/deleted"), Head: 12, Floor: 12, Epoch: 2, Created: 1, Deleted: 2})

	large := s.agent("crewman", 2)
	noise := s.noise(3*record.PartSize + 100)
	s.run(Segment{ID: 20}, nil, 0, noise)
	s.run(Segment{ID: 21}, nil, 0, []byte("small again"))
	s.version(large, 1, noise, 20, 0)
	s.version(large, 2, []byte("small again"), 21, 0)

	bad := s.agent("zed", 3)
	s.run(Segment{ID: 30}, nil, 0, states[0], states[1])
	s.version(bad, 1, states[0], 30, 0)
	v := s.version(bad, 2, []byte("something else"), 30, 0)
	v.State = hawser.VersionBad
	s.version(bad, 3, states[1], 30, 1)
	return s
}

// pack makes an archive of items.
func pack(t testing.TB, items []Item) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if err := w.Append(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(file.Len()) {
		t.Fatalf("Size is %d, the file has %d bytes", w.Size(), file.Len())
	}
	return file.Bytes()
}

func open(t testing.TB, file []byte) *Archive {
	t.Helper()
	a, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verify(t testing.TB, a *Archive) *Report {
	t.Helper()
	r, err := a.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
