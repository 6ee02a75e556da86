// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// historian saves states of one agent, which grow by a byte a version.
type historian struct {
	t      *testing.T
	m      *fsm.Machine
	id     hawser.AgentID
	index  uint64
	states [][]byte // of version n at n-1
}

func newHistorian(t *testing.T, size int) *historian {
	t.Helper()
	h := &historian{t: t, m: open(t, "state", smallEngine(vfs.NewMem())), id: agentID("a")}
	first := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(first) // never fails
	h.save(first, nil)
	return h
}

func (h *historian) apply(c fsm.Command) fsm.Result {
	h.t.Helper()
	h.index++
	out, err := h.m.Apply([]fsm.Entry{command(h.index, 1, c)})
	if err != nil {
		h.t.Fatal(err)
	}
	return out[0].Results[0]
}

func (h *historian) must(c fsm.Command) {
	h.t.Helper()
	if res := h.apply(c); res.Err != nil {
		h.t.Fatal(res.Err)
	}
}

func (h *historian) request() fsm.Request {
	return fsm.Request{Nonce: nonce(fmt.Sprint(h.index)), Seen: uint64(len(h.states))}
}

// save appends a version, by delta when there is a base.
func (h *historian) save(state, base []byte) error {
	h.t.Helper()
	s := newSave(h.id, string(state), "")
	s.Request = h.request()
	if base != nil {
		delta, ok := record.EncodeDelta(base, state)
		if !ok {
			h.t.Fatal("no delta")
		}
		s.Size, s.Content, s.Base = uint64(len(state)), delta, &fsm.Base{Number: uint64(len(h.states)), SHA256: sha256.Sum256(base)}
	}
	err := h.apply(s).Err
	if err == nil {
		h.states = append(h.states, state)
	}
	return err
}

// step appends a version by delta.
func (h *historian) step() error {
	h.t.Helper()
	base := h.states[len(h.states)-1]
	return h.save(append(bytes.Clone(base), byte(len(h.states))), base)
}

func (h *historian) rollback(number uint64) {
	h.t.Helper()
	h.must(&fsm.Rollback{Agent: h.id, Request: h.request(), Number: number})
	h.states = append(h.states, h.states[number-1])
}

// check rebuilds every version from number on.
func (h *historian) check(from uint64) {
	h.t.Helper()
	fsm.CheckStore(h.t, h.m)
	v, err := h.m.View()
	if err != nil {
		h.t.Fatal(err)
	}
	defer v.Close()
	for n := from; n <= uint64(len(h.states)); n++ {
		if _, state, err := v.Materialise(h.id, n); err != nil || !bytes.Equal(state, h.states[n-1]) {
			h.t.Fatalf("version %d: %d bytes, %v", n, len(state), err)
		}
	}
}

// A chain takes 64 deltas, in one segment or in ever deeper ones; then the
// machine wants a keyframe. When all is gone nothing is left of it.
func TestSave_ChainRule(t *testing.T) {
	for name, step := range map[string]func(*historian) error{
		"one segment": (*historian).step,
		"a segment a delta": func(h *historian) error {
			// The head's place is made one that something follows already.
			n := uint64(len(h.states))
			if err := h.step(); err != nil {
				return err
			}
			h.rollback(n)
			return h.step()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistorian(t, 20<<10)
			deltas := 0
			var err error
			for ; err == nil && deltas < 100; deltas++ {
				err = step(h)
			}
			if deltas--; deltas != 64 || !errors.Is(err, hawser.ErrKeyframeNeeded) {
				t.Fatalf("%d deltas, then %v", deltas, err)
			}
			h.check(1)
			head := uint64(len(h.states))
			h.must(&fsm.Prune{Agent: h.id, Ranges: []fsm.NumberRange{{From: 1, To: head}}})
			h.check(head)
			h.must(&fsm.Delete{Agent: h.id, Request: fsm.Request{Nonce: nonce("delete"), Seen: head}})
			h.must(&fsm.Reclaim{Agent: h.id, Limit: 4096})
			fsm.CheckStore(t, h.m)
			if left := fsm.CountKeys(t, h.m)['s']; left != 0 {
				t.Errorf("%d contents and segments are left", left)
			}
		})
	}
}

// A delta that is too long, deltas that together outweigh their keyframe, and
// ones after an empty state need a keyframe instead.
func TestSave_DeltasThatDoNotPay(t *testing.T) {
	h := newHistorian(t, 1000)
	random := rand.NewChaCha8([32]byte{2})
	more := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // never fails
		return b
	}
	grow := func(n int) error {
		base := h.states[len(h.states)-1]
		return h.save(append(bytes.Clone(base), more(n)...), base)
	}
	if err := grow(600); !errors.Is(err, hawser.ErrKeyframeNeeded) {
		t.Errorf("more than half a keyframe: %v", err)
	}
	weight := 0
	for grow(450) == nil {
		weight += 450
	}
	if weight < 3000 || weight > 4000 {
		t.Errorf("deltas of %d bytes after a keyframe of 1000", weight)
	}
	h.check(1)
	if err := h.save(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.save([]byte("x"), []byte{}); !errors.Is(err, hawser.ErrKeyframeNeeded) {
		t.Errorf("after an empty state: %v", err)
	}
	s := newSave(h.id, "x", "too long")
	s.Base, s.Content = &fsm.Base{Number: uint64(len(h.states))}, record.Content{Kind: record.Delta, Encoding: record.Raw, Size: 9 << 20}
	s.Content.Parts = 72
	if err := h.apply(s).Err; !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("longer than any: %v", err)
	}
}

// What no node proposes is refused, with nothing changed.
func TestSave_RefusesForms(t *testing.T) {
	delta, ok := record.EncodeDelta([]byte("a"), []byte("b"))
	if !ok {
		t.Fatal("no delta")
	}
	for name, change := range map[string]func(*fsm.Save){
		"delta without base":    func(s *fsm.Save) { s.Content = delta },
		"keyframe with base":    func(s *fsm.Save) { s.Base = &fsm.Base{Number: 1} },
		"packed delta":          func(s *fsm.Save) { s.Base, s.Content, s.Content.Encoding = &fsm.Base{Number: 1}, delta, record.Zstd },
		"another size":          func(s *fsm.Save) { s.Size = 3 },
		"derived from nothing":  func(s *fsm.Save) { s.DerivedFrom = []hawser.VersionRef{{Agent: s.Agent}} },
		"derived from nobody":   func(s *fsm.Save) { s.DerivedFrom = []hawser.VersionRef{{Number: 1}} },
		"derived from too many": func(s *fsm.Save) { s.DerivedFrom = make([]hawser.VersionRef, 257) },
		"unknown encoding":      func(s *fsm.Save) { s.Content.Encoding = 9 },
	} {
		m := open(t, "state", smallEngine(vfs.NewMem()))
		s := newSave(agentID("a"), "state", "x")
		change(s)
		for i := range s.DerivedFrom {
			if name == "derived from too many" {
				s.DerivedFrom[i] = hawser.VersionRef{Agent: s.Agent, Number: 1}
			}
		}
		out, err := m.Apply([]fsm.Entry{command(1, 1, s)})
		if err != nil || !errors.Is(out[0].Results[0].Err, hawser.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, err, out)
		}
		if left := fsm.CountKeys(t, m); left['s']+left['c']+left['a'] != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// Bytes that do not match a checksum or the hash are not served.
func TestView_Corrupt(t *testing.T) {
	id := agentID("a")
	part := &fsm.Part{Upload: [16]byte{1}, CRC32C: record.Checksum([]byte("state")), Data: []byte("state")}
	staged := func(s *fsm.Save) { s.Content.Parts, s.Content.Upload, s.Content.Data = 1, part.Upload, nil }
	for name, tc := range map[string]struct {
		change     func(*fsm.Save)
		part       uint32 // added to the part's checksum
		read, load bool   // whether these fail already
	}{
		"fine":                  {change: func(*fsm.Save) {}},
		"staged":                {change: staged},
		"hash":                  {change: func(s *fsm.Save) { s.SHA256[0]++ }},
		"hash of a staged one":  {change: func(s *fsm.Save) { s.SHA256[0]++; staged(s) }},
		"checksum":              {change: func(s *fsm.Save) { s.Content.CRC32C++ }, read: true, load: true},
		"checksum of all parts": {change: func(s *fsm.Save) { s.Content.CRC32C++; staged(s) }, load: true},
		"checksum of a part":    {change: staged, part: 1, load: true},
	} {
		h := &historian{t: t, m: open(t, "state", smallEngine(vfs.NewMem()))}
		p := *part
		p.CRC32C += tc.part
		h.must(&p)
		s := newSave(id, "state", "x")
		tc.change(s)
		h.must(s)
		v, err := h.m.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		_, path, err := v.Path(id, 1)
		if err != nil {
			t.Fatal(err)
		}
		content, _, err := v.ContentAt(path.Places[0].Segment, path.Places[0].Position)
		if errors.Is(err, hawser.ErrCorrupt) != tc.read || (err != nil) != tc.read {
			t.Errorf("%s: content: %v", name, err)
		}
		if err == nil {
			if _, err = v.Load(content); errors.Is(err, hawser.ErrCorrupt) != tc.load || (err != nil) != tc.load {
				t.Errorf("%s: load: %v", name, err)
			}
		}
		_, state, err := v.Materialise(id, 0)
		if fine := name == "fine" || name == "staged"; fine != (err == nil && string(state) == "state") || !fine && !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%s: materialise: %q, %v", name, state, err)
		}
	}
}

// The parts that belong to no content yet are bounded together: at the bound
// there is place for one more when one goes, and for one that is there already.
func TestPart_Bound(t *testing.T) {
	h := &historian{t: t, m: open(t, "state", smallEngine(vfs.NewMem()))}
	part := func(upload byte, index uint32) error {
		data := make([]byte, record.PartSize)
		return h.apply(&fsm.Part{Upload: [16]byte{upload}, Index: index, CRC32C: record.Checksum(data), Data: data}).Err
	}
	fsm.PretendStaged(h.m, 1<<30-2*record.PartSize)
	for i, want := range []error{nil, nil, hawser.ErrOverloaded} {
		if err := part(1, uint32(i)); !errors.Is(err, want) {
			t.Errorf("part %d: %v", i, err)
		}
	}
	if err := part(1, 0); err != nil {
		t.Errorf("a part that is there: %v", err)
	}
	if err := part(2, 0); !errors.Is(err, hawser.ErrOverloaded) {
		t.Errorf("of another upload: %v", err)
	}
	h.must(&fsm.ExpireUploads{Uploads: [][16]byte{{1}}, Before: 2})
	if err := part(2, 0); err != nil {
		t.Errorf("after one expired: %v", err)
	}
}
