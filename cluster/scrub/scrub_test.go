// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/record"
)

func agentID(name string) hawser.AgentID { return hawser.AgentID{Namespace: "default", Name: name} }

// Claim: a saver that lies about the hash of what it saves is found out by
// every node, also one that is not the leader; the version becomes bad
// everywhere and is not served, nothing is saved on top of it, a keyframe is,
// and the versions before stay what they are.
func TestScrubber_LieBecomesBad(t *testing.T) {
	for _, finder := range []int{0, 1} {
		t.Run(fmt.Sprint("node ", finder), func(t *testing.T) {
			r := newReplicas(t, 3)
			id := agentID("liar")
			r.history(id, 5)
			lie := r.save(id, append(slices.Clone(r.bytes[id]), "a lie"...), hawser.Hash{1})
			version := hawser.VersionRef{Agent: id, Number: lie}
			r.scrubbers[finder].Start()
			if finder != 0 {
				// The leader finds it too, if it is asked to look.
				r.scrubbers[0].agenda = newAgenda(time.Hour)
				r.scrubbers[0].Start()
			}
			eventually(t, "the lie is bad everywhere", func() bool {
				for i := range r.machines {
					if state, _ := r.state(i, version); state != hawser.VersionBad {
						return false
					}
				}
				return true
			})
			if _, err := r.state(1, version); !errors.Is(err, hawser.ErrCorrupt) {
				t.Errorf("restore: %v", err)
			}
			honest := append(slices.Clone(r.bytes[id]), "the truth"...)
			delta, _ := record.EncodeDelta(r.bytes[id], honest)
			head := r.heads[id]
			if res := r.apply(&fsm.Save{
				Agent: id, Request: fsm.Request{Nonce: hawser.NewNonce(), Seen: lie}, SHA256: sha256.Sum256(honest),
				Size: uint64(len(honest)), Base: &head, Content: delta,
			}); !errors.Is(res.Err, hawser.ErrKeyframeNeeded) {
				t.Errorf("delta on a bad version: %v", res.Err)
			}
			next := r.save(id, honest, sha256.Sum256(honest)) // falls back to a keyframe
			for _, number := range []uint64{1, lie - 1, next} {
				if _, err := r.state(2, hawser.VersionRef{Agent: id, Number: number}); err != nil {
					t.Errorf("version %d: %v", number, err)
				}
			}
			r.sameEverywhere()
			// The machines have applied the mark before its proposer has the answer.
			eventually(t, "the mark is counted, once", func() bool { return r.scrubbers[0].Stats().Bad == 1 })
			for i, err := range r.halted {
				if err != nil {
					t.Errorf("node %d: %v", i, err)
				}
			}
		})
	}
}

// Claim: with a bad version the rollbacks and forks that repeat it become bad, and
// what it repeats, whichever of them is found first, although nobody has verified
// them; what was saved on top and is honest does not.
func TestScrubber_RepeatsOfALieAreBad(t *testing.T) {
	for _, found := range []int{0, 1, 2} {
		t.Run(fmt.Sprint("found ", found), func(t *testing.T) {
			r := newReplicas(t, 3)
			id, other := agentID("liar"), agentID("other")
			r.history(id, 3)
			lie := r.save(id, append(slices.Clone(r.bytes[id]), "a lie"...), hawser.Hash{1})
			fork := r.apply(&fsm.Fork{Agent: other, Request: fsm.Request{Nonce: hawser.NewNonce()}, Source: id, Number: lie})
			honest := bytes.Repeat([]byte("the truth. "), 10)
			sum := hawser.Hash(sha256.Sum256(honest))
			kept := r.apply(&fsm.Save{
				Agent: id, Request: fsm.Request{Nonce: hawser.NewNonce(), Seen: lie}, SHA256: sum,
				Size: uint64(len(honest)), Content: record.EncodeKeyframe(honest),
			})
			back := r.apply(&fsm.Rollback{Agent: id, Request: fsm.Request{Nonce: hawser.NewNonce(), Seen: kept.Number}, Number: lie})
			if err := errors.Join(fork.Err, kept.Err, back.Err); err != nil {
				t.Fatal(err)
			}
			lies := []hawser.VersionRef{{Agent: id, Number: lie}, {Agent: id, Number: back.Number}, {Agent: other, Number: fork.Number}}
			s := r.scrubbers[0]
			s.Suspect(lies[found])
			for range lies {
				s.suspect(t.Context())
			}
			for _, version := range lies {
				if state, _ := r.state(1, version); state != hawser.VersionBad {
					t.Errorf("%s is %v", version, state)
				}
			}
			if state, err := r.state(1, hawser.VersionRef{Agent: id, Number: kept.Number}); state != hawser.VersionLive || err != nil {
				t.Errorf("the honest version is %v: %v", state, err)
			}
			if got := s.Stats(); got.Bad != 3 || got.Suspects != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Claim: a node whose bytes were altered, inline or in a part, finds it by the
// pass over everything or when the agent saves on top, fetches the right ones
// and is like the others again; nobody else does anything.
func TestScrubber_AlteredBytesAreRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(key, value []byte) []byte
		find  func(r *replicas, id hawser.AgentID)
	}{
		"inline, next save": {flipContent, func(r *replicas, id hawser.AgentID) {
			state := append(slices.Clone(r.bytes[id]), "more"...)
			r.save(id, state, sha256.Sum256(state))
		}},
		"inline, pass": {flipContent, func(r *replicas, _ hawser.AgentID) { r.scrubbers[1].pass.begin() }},
		"part, pass":   {flipPart, func(r *replicas, _ hawser.AgentID) { r.scrubbers[1].pass.begin() }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicas(t, 3)
			id := agentID("honest")
			r.history(id, 5)
			r.saveLarge()
			r.alter(1, c.alter)
			c.find(r, id)
			s := r.scrubbers[1]
			eventually(t, "repair", func() bool {
				s.step(t.Context())
				s.suspect(t.Context())
				return s.Stats().Repaired > 0 && s.Stats().Suspects == 0
			})
			r.sameEverywhere()
			if got := s.Stats(); got.Repaired != 1 || got.Bad != 0 || r.halted[1] != nil {
				t.Errorf("%+v, %v", got, r.halted[1])
			}
		})
	}
}

// saveLarge saves a version that is stored in parts.
func (r *replicas) saveLarge() {
	r.t.Helper()
	state := make([]byte, 2*record.PartSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(state)
	content := record.EncodeKeyframe(state)
	for i, part := range record.PartsOf(content.Data) {
		if res := r.apply(&fsm.Part{Upload: [16]byte{7}, Index: uint32(i), CRC32C: record.Checksum(part), Data: part}); res.Err != nil {
			r.t.Fatal(res.Err)
		}
	}
	content.Upload, content.Parts, content.Data = [16]byte{7}, 2, nil
	if res := r.apply(&fsm.Save{Agent: agentID("large"), SHA256: sha256.Sum256(state), Size: uint64(len(state)), Content: content}); res.Err != nil {
		r.t.Fatal(res.Err)
	}
}

// Claim: while the others do not answer nothing is decided; when they do, the
// bytes are repaired.
func TestScrubber_WaitsForTheOthers(t *testing.T) {
	r := newReplicas(t, 3)
	id := agentID("honest")
	r.history(id, 5)
	r.alter(1, flipContent)
	r.down[0].Store(true)
	r.down[2].Store(true)
	s := r.scrubbers[1]
	s.verify(t.Context(), id, 1, 5)
	for range 3 {
		s.investigate(t.Context(), hawser.VersionRef{Agent: id, Number: 5})
	}
	if got := s.Stats(); got.Suspects != 3 || got.Repaired != 0 || r.halted[1] != nil { // 3, 4 and 5 need the content
		t.Fatalf("%+v, %v", got, r.halted[1])
	}
	r.down[2].Store(false)
	for number := range uint64(5) {
		s.investigate(t.Context(), hawser.VersionRef{Agent: id, Number: number + 1})
	}
	if got := s.Stats(); got.Suspects != 0 || got.Repaired != 1 {
		t.Errorf("%+v", got)
	}
	r.sameEverywhere()
}

// Claim: a node whose record of a version says another hash than those of the
// majority stops, because its data are damaged.
func TestScrubber_StopsWhenItsRecordIsAltered(t *testing.T) {
	r := newReplicas(t, 3)
	id := agentID("honest")
	r.history(id, 3)
	head := r.heads[id]
	r.alter(1, func(key, value []byte) []byte {
		at := bytes.Index(value, head.SHA256[:])
		if key[0] != 'c' || at < 0 {
			return nil
		}
		value[at] ^= 1
		return value
	})
	s := r.scrubbers[1]
	s.verify(t.Context(), id, 3, 3)
	s.investigate(t.Context(), hawser.VersionRef{Agent: id, Number: 3})
	if e, ok := errors.AsType[*halt.Error](r.halted[1]); !ok || e.Reason != halt.Damaged {
		t.Errorf("halted with %v", r.halted[1])
	}
}

// Claim: what was saved before the start, and what could not be noted, is
// verified too, unless it is old.
func TestScrubber_LooksForRecent(t *testing.T) {
	r := newReplicas(t, 1)
	s := r.scrubbers[0]
	for i := range 10 {
		r.history(agentID(fmt.Sprint("a", i)), 2)
	}
	s.agenda = newAgenda(time.Millisecond) // as after a restart
	s.Start()
	eventually(t, "heads verified", func() bool { return s.Stats().Verified == 10 })
}
