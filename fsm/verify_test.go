// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/record"
)

// saver saves versions as a client does, by delta where the machine takes it.
type saver struct {
	t     *testing.T
	m     *fsm.Machine
	index uint64
	heads map[hawser.AgentID]fsm.Base
	bytes map[hawser.AgentID][]byte
}

func newSaver(t *testing.T, m *fsm.Machine) *saver {
	t.Helper()
	return &saver{t: t, m: m, heads: map[hawser.AgentID]fsm.Base{}, bytes: map[hawser.AgentID][]byte{}}
}

func (s *saver) apply(c fsm.Command) fsm.Result {
	s.t.Helper()
	s.index++
	out, err := s.m.Apply([]fsm.Entry{command(s.index, int64(s.index), c)})
	if err != nil {
		s.t.Fatal(err)
	}
	return out[0].Results[0]
}

// request is one that has seen the agent's head.
func (s *saver) request(id hawser.AgentID) fsm.Request {
	return fsm.Request{Nonce: nonce(fmt.Sprint(s.index)), Seen: s.heads[id].Number}
}

// save saves a state that says it has the hash sha.
func (s *saver) save(id hawser.AgentID, state []byte, sha hawser.Hash) hawser.Version {
	s.t.Helper()
	c := &fsm.Save{
		Agent: id, Request: s.request(id), SHA256: sha, Size: uint64(len(state)),
		Content: record.EncodeKeyframe(state),
	}
	if head, ok := s.heads[id]; ok {
		if content, ok := record.EncodeDelta(s.bytes[id], state); ok {
			delta := *c
			delta.Base, delta.Content = &head, content
			if res := s.apply(&delta); res.Err == nil {
				return s.saved(id, state, res)
			} else if !errors.Is(res.Err, hawser.ErrKeyframeNeeded) {
				s.t.Fatal(res.Err)
			}
		}
	}
	res := s.apply(c)
	if res.Err != nil {
		s.t.Fatal(res.Err)
	}
	return s.saved(id, state, res)
}

func (s *saver) saved(id hawser.AgentID, state []byte, res fsm.Result) hawser.Version {
	s.heads[id], s.bytes[id] = fsm.Base{Number: res.Version.Number, SHA256: res.Version.SHA256}, state
	return res.Version
}

// history saves n states of noise, each 40 bytes different from the one before.
func (s *saver) history(id hawser.AgentID, n int) {
	s.t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(len(id.Name))))
	state := make([]byte, 2000)
	for i := range state {
		state[i] = byte(rng.Uint32())
	}
	for range n {
		state = slices.Clone(state)
		for range 40 {
			state[rng.IntN(40)+100] = byte(rng.Uint32())
		}
		s.save(id, state, sha256.Sum256(state))
	}
}

func verify(t *testing.T, m *fsm.Machine, id hawser.AgentID, from, to uint64) (good, bad []uint64, next uint64) {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	next, err = v.Verify(id, from, to, func(found fsm.Verdict) bool {
		if found.Err == nil {
			good = append(good, found.Version.Number)
		} else if bad = append(bad, found.Version.Number); !errors.Is(found.Err, hawser.ErrCorrupt) {
			t.Errorf("version %d: %v", found.Version.Number, found.Err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return good, bad, next
}

func numbers(from, to uint64) (list []uint64) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// Claim: a walk over a chain with several keyframes, a branch and a rollback
// verifies every version once, from any start; a version that says another hash
// than its bytes have is found, and no other.
func TestView_Verify(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	s, id := newSaver(t, m), agentID("a")
	s.history(id, 100)
	if good, bad, next := verify(t, m, id, 0, 0); !slices.Equal(good, numbers(1, 100)) || bad != nil || next != 0 {
		t.Fatalf("good %v, bad %v, next %d", good, bad, next)
	}
	if good, bad, _ := verify(t, m, id, 60, 80); !slices.Equal(good, numbers(60, 80)) || bad != nil {
		t.Fatalf("good %v, bad %v", good, bad)
	}
	if res := s.apply(&fsm.Rollback{Agent: id, Request: s.request(id), Number: 90}); res.Err != nil {
		t.Fatal(res.Err)
	} else {
		state := materialise(t, m, id, 90)
		s.saved(id, state, res)
		lie := append(slices.Clone(state), "and more"...)
		s.save(id, lie, hawser.Hash{1})
		s.save(id, append(lie, "!"...), sha256.Sum256(append(lie, "!"...)))
	}
	if good, bad, _ := verify(t, m, id, 0, 0); !slices.Equal(bad, []uint64{102}) || !slices.Equal(good, append(numbers(1, 101), 103)) {
		t.Fatalf("good %v, bad %v", good, bad)
	}
	if res := s.apply(&fsm.MarkBad{Agent: id, Number: 102, SHA256: hawser.Hash{1}}); res.Err != nil {
		t.Fatal(res.Err)
	}
	if _, bad, _ := verify(t, m, id, 0, 0); bad != nil {
		t.Fatalf("what is marked is looked at again: %v", bad)
	}
}

func materialise(t *testing.T, m *fsm.Machine, id hawser.AgentID, number uint64) []byte {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, state, err := v.Materialise(id, number)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// Claim: a keyframe in parts is verified part by part, also as the base of a
// delta, and a wrong hash of it is found.
func TestView_VerifyParts(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	s := newSaver(t, m)
	state := make([]byte, 3*record.PartSize+7)
	_, _ = rand.NewChaCha8([32]byte{}).Read(state)
	for i, sha := range []hawser.Hash{sha256.Sum256(state), {2}} {
		id := agentID(fmt.Sprint("large", i))
		content := s.upload(byte(i+1), record.EncodeKeyframe(state))
		res := s.apply(&fsm.Save{Agent: id, SHA256: sha, Size: uint64(len(state)), Content: content})
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		good, bad, _ := verify(t, m, id, 0, 0)
		if i == 0 && !slices.Equal(good, []uint64{1}) || i == 1 && !slices.Equal(bad, []uint64{1}) {
			t.Fatalf("%v: good %v, bad %v", id, good, bad)
		}
		s.saved(id, state, res)
		next := append(slices.Clone(state), "more"...)
		s.save(id, next, sha256.Sum256(next))
		if good, bad, _ := verify(t, m, id, 0, 0); len(good)+len(bad) != 2 || len(bad) != i {
			t.Fatalf("%v with a delta: good %v, bad %v", id, good, bad)
		}
	}
}

// upload stages the data of c and returns what refers to them.
func (s *saver) upload(name byte, c record.Content) record.Content {
	s.t.Helper()
	parts := record.PartsOf(c.Data)
	for i, part := range parts {
		if res := s.apply(&fsm.Part{Upload: [16]byte{name}, Index: uint32(i), CRC32C: record.Checksum(part), Data: part}); res.Err != nil {
			s.t.Fatal(res.Err)
		}
	}
	c.Upload, c.Parts, c.Data = [16]byte{name}, uint32(len(parts)), nil
	return c
}

// alter changes values of a machine that is closed, behind its back.
func alter(t *testing.T, fs vfs.FS, dir string, change func(key, value []byte) []byte) {
	t.Helper()
	_, db, err := engine.OpenHome(dir, engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.Iter([]byte{0}, []byte{0xff})
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	for it.Next() {
		if value := change(it.Key(), slices.Clone(it.Value())); value != nil {
			batch.Set(it.Key(), value)
		}
	}
	if err := errors.Join(it.Close(), batch.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Claim: bytes that were altered, in a content or in a part, make the versions
// that need them fail and no others; their sums differ from those of a replica
// that is sound; with that replica's contents a repair makes the states equal.
func TestMachine_Repair(t *testing.T) {
	for name, change := range map[string]func(key, value []byte) []byte{
		"inline": func(key, value []byte) []byte {
			if key[0] != 's' || len(key) != 1+8+4 || key[8] != 1 || key[12] != 5 {
				return nil
			}
			value[len(value)-1] ^= 1
			return value
		},
		"part": func(key, value []byte) []byte {
			if key[0] != 'p' || key[len(key)-1] != 1 {
				return nil
			}
			value[99] ^= 1
			return value
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			var machines [2]*fsm.Machine
			large := make([]byte, 2*record.PartSize)
			_, _ = rand.NewChaCha8([32]byte{}).Read(large)
			for i := range machines {
				m, err := fsm.Open(fmt.Sprint(i), smallEngine(fs))
				if err != nil {
					t.Fatal(err)
				}
				machines[i] = m
				s := newSaver(t, m)
				s.history(agentID("a"), 10)
				content := s.upload(7, record.EncodeKeyframe(large))
				if res := s.apply(&fsm.Save{Agent: agentID("b"), SHA256: sha256.Sum256(large), Size: uint64(len(large)), Content: content}); res.Err != nil {
					t.Fatal(res.Err)
				}
			}
			sound := machines[0]
			defer sound.Close()
			if err := machines[1].Close(); err != nil {
				t.Fatal(err)
			}
			alter(t, fs, "1", change)
			m := open(t, "1", smallEngine(fs))

			for _, id := range []hawser.AgentID{agentID("a"), agentID("b")} {
				good, bad, _ := verify(t, m, id, 0, 0)
				wantBad := map[string]int{"inline/a": 5, "part/b": 1}[name+"/"+id.Name]
				if len(bad) != wantBad {
					t.Fatalf("%v: good %v, bad %v", id, good, bad)
				}
				repairFrom(t, m, sound, id)
				if _, bad, _ := verify(t, m, id, 0, 0); bad != nil {
					t.Fatalf("%v after the repair: bad %v", id, bad)
				}
			}
			a, err1 := sound.Digest(t.Context())
			b, err2 := m.Digest(t.Context())
			if err := errors.Join(err1, err2); err != nil || a != b {
				t.Fatalf("the replicas differ after the repair: %v", err)
			}
		})
	}
}

// repairFrom repairs what the head of id is rebuilt from.
func repairFrom(t *testing.T, m, sound *fsm.Machine, id hawser.AgentID) {
	t.Helper()
	have, want := sums(t, m, id), sums(t, sound, id)
	v, err := sound.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for i, sum := range want {
		if sum == have[i] {
			continue
		}
		content, stamp, err := v.ContentAt(sum.Segment, sum.Position)
		if err != nil {
			t.Fatal(err)
		}
		r := fsm.Repair{Segment: sum.Segment, Position: sum.Position, Stamp: stamp + 1, Content: content}
		if err := m.Repair(r); !errors.Is(err, hawser.ErrConflict) {
			t.Fatalf("repair of a segment with another stamp: %v", err)
		}
		r.Stamp = stamp
		if err := m.Repair(r); err != nil {
			t.Fatal(err)
		}
		for index := range content.Parts {
			part, err := v.Part(content.Upload, index)
			if err == nil {
				err = m.RepairPart(r, index, part)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func sums(t *testing.T, m *fsm.Machine, id hawser.AgentID) []fsm.Sum {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, list, err := v.Sums(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Claim: the weights say what a Replace frees, also in the segments before a
// branch, and after it there is no dead weight left; every version that stays
// is what it was.
func TestView_Rewrites(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	s, id := newSaver(t, m), agentID("a")
	s.history(id, 40)
	if res := s.apply(&fsm.Rollback{Agent: id, Request: s.request(id), Number: 30}); res.Err != nil {
		t.Fatal(res.Err)
	} else {
		s.saved(id, materialise(t, m, id, 30), res)
	}
	for i := range 10 {
		state := append(slices.Clone(s.bytes[id]), fmt.Sprint("branch ", i)...)
		s.save(id, state, sha256.Sum256(state))
	}
	if r := rewrites(t, m, id); r != nil {
		t.Fatalf("dead weight before anything was pruned: %+v", r)
	}
	if res := s.apply(&fsm.Prune{Agent: id, Ranges: []fsm.NumberRange{{From: 1, To: 45}}}); res.Err != nil || res.Pruned != 45 {
		t.Fatalf("%+v", res)
	}
	want := materialise(t, m, id, 46)
	r := rewrites(t, m, id)
	if len(r) != 1 || r[0].Number != 46 || !r[0].Grows || r[0].Dead < 2000 {
		t.Fatalf("%+v", r)
	}
	replaced := record.EncodeKeyframe(want)
	held := segments(t, m)
	if res := s.apply(&fsm.Replace{Segment: r[0].Segment, Position: r[0].Position, Stamp: r[0].Stamp, Content: replaced}); res.Err != nil {
		t.Fatal(res.Err)
	}
	if freed := held - segments(t, m); freed != r[0].Dead+r[0].Own-int64(len(replaced.Data)) {
		t.Errorf("%d bytes freed, %+v foretold, keyframe of %d", freed, r[0], len(replaced.Data))
	}
	if r := rewrites(t, m, id); r != nil {
		t.Errorf("dead weight after the rewrite: %+v", r)
	}
	if good, bad, _ := verify(t, m, id, 0, 0); !slices.Equal(good, numbers(46, 51)) || bad != nil {
		t.Errorf("good %v, bad %v", good, bad)
	}
	if !bytes.Equal(want, materialise(t, m, id, 46)) {
		t.Error("the oldest version has changed")
	}
}

func rewrites(t *testing.T, m *fsm.Machine, id hawser.AgentID) []fsm.Rewrite {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	list, next, err := v.Rewrites(id, 0)
	if err != nil || next != 0 {
		t.Fatal(next, err)
	}
	return list
}

// segments is the bytes in all segments.
func segments(t *testing.T, m *fsm.Machine) (total int64) {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for number := range uint64(20) {
		info, ok, err := v.Segment(number)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range info.Entries {
			if ok {
				total += int64(e.Bytes)
			}
		}
	}
	return total
}

// Claim: the walk over all agents finds each once, over pages and namespaces,
// and no deleted one.
func TestView_AgentsAfter(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	s := newSaver(t, m)
	var want []hawser.AgentID
	for _, namespace := range []string{"a", "b"} {
		for _, name := range []string{"x", "x/y", "xy"} {
			id := hawser.AgentID{Namespace: namespace, Name: name}
			s.save(id, []byte(name), sha256.Sum256([]byte(name)))
			want = append(want, id)
		}
	}
	gone := want[1]
	if res := s.apply(&fsm.Delete{Agent: gone, Request: fsm.Request{Seen: 1}}); res.Err != nil {
		t.Fatal(res.Err)
	}
	want = slices.Delete(want, 1, 2)
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var got []hawser.AgentID
	for after := (hawser.AgentID{}); ; {
		page, err := v.AgentsAfter(after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got, after = append(got, page...), page[len(page)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
