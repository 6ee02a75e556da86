// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// deltaOf returns a request to save target as a delta to base, version number.
func deltaOf(t *testing.T, name string, number uint64, base, target []byte) *hawserv1.SaveRequest {
	t.Helper()
	content, ok := record.EncodeDelta(base, target)
	if !ok {
		t.Fatal("no delta")
	}
	r := saveOf(name, target, number)
	r.Payload = wire.ContentToProto(content)
	r.Payload.Base = baseOf(number, base)
	r.StateSize = uint64(len(target))
	return r
}

func baseOf(number uint64, state []byte) *hawserv1.Base {
	return wire.BaseToProto(number, sha256.Sum256(state))
}

// grow saves n versions, each but the first as a delta, and returns the states.
func grow(t *testing.T, s *Service, name string, n, step int) [][]byte {
	t.Helper()
	states := [][]byte{noise(n*step*2, 9)}
	saved, err := s.Save(t.Context(), saveOf(name, states[0][:n*step*2], 0))
	if err != nil || saved.GetChain().GetDeltas() != 0 {
		t.Fatalf("first: %v, %v", saved, err)
	}
	for i := range n - 1 {
		state := slices.Concat(states[i], noise(step, byte(i+1)))
		saved, err := s.Save(t.Context(), deltaOf(t, name, uint64(i+1), states[i], state))
		if err != nil || saved.GetChain().GetDeltas() != uint32(i+1) || saved.GetVersion().GetSize() != uint64(len(state)) {
			t.Fatalf("version %d: %v, %v", i+2, saved, err)
		}
		states = append(states, state)
	}
	return states
}

// Every version of a chain of deltas comes back byte for byte, in messages of
// bounded size, and after a version on its path only what follows that.
func TestRestore_DeltasAndBases(t *testing.T) {
	s, _ := start(t)
	states := grow(t, s, "a", 12, 5<<10)
	agent := &hawserv1.Agent{Name: "a"}
	for _, tt := range []struct {
		name    string
		version uint64
		base    *hawserv1.Base
		held    []byte // what the base stands for
		deltas  int    // that are sent, with a keyframe unless used
		used    bool
	}{
		{"head", 0, nil, nil, 11, false},
		{"first", 1, nil, nil, 0, false},
		{"middle", 7, nil, nil, 6, false},
		{"after the first", 12, baseOf(1, states[0]), states[0], 11, true},
		{"after the one before", 0, baseOf(11, states[10]), states[10], 1, true},
		{"the same", 12, baseOf(12, states[11]), states[11], 0, true},
		{"a later base", 7, baseOf(9, states[8]), states[8], 6, false},
		{"another hash", 12, baseOf(11, states[3]), states[3], 11, false},
		{"no such base", 12, baseOf(99, states[3]), states[3], 11, false},
	} {
		got, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: agent, Version: tt.version, Base: tt.base})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		number := got[0].GetVersion().GetNumber()
		if !bytes.Equal(rebuilt(t, got, tt.held), states[number-1]) {
			t.Errorf("%s: another state", tt.name)
		}
		deltas := 0
		for _, m := range got {
			deltas += len(m.GetDeltas())
			if size := proto.Size(m); size > maxRestoreMessage {
				t.Errorf("%s: a message of %d bytes", tt.name, size)
			}
		}
		if used := got[0].GetKeyframe() == nil; used != tt.used || deltas != tt.deltas {
			t.Errorf("%s: base used %v, %d deltas", tt.name, used, deltas)
		}
		if got[0].GetChain().GetDeltas() != uint32(number-1) {
			t.Errorf("%s: chain %v", tt.name, got[0].GetChain())
		}
	}
	if _, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: agent, Base: &hawserv1.Base{Number: 1}}); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("half a base: %v", err)
	}
}

// maxRestoreMessage is what any message of a restore fits in.
const maxRestoreMessage = restoreMessage + 64<<10

// Versions of another agent that share the path are no base, a rollback shares
// it, and versions with long deltas among short ones come back too.
func TestRestore_SharedPathsAndLongDeltas(t *testing.T) {
	s, _ := start(t)
	first := noise(3<<20, 1)
	if _, err := saveParts(t, s, inParts("a", first, 0)); err != nil {
		t.Fatal(err)
	}
	second := slices.Concat(first, []byte("little"))
	third := slices.Concat(second, noise(300<<10, 2))
	fourth := slices.Concat(third, []byte("more"))
	if _, err := s.Save(t.Context(), deltaOf(t, "a", 1, first, second)); err != nil {
		t.Fatal(err)
	}
	r := deltaOf(t, "a", 2, second, third)
	content, _ := wire.ContentFromProto(r.GetPayload(), true)
	if _, err := saveParts(t, s, cutInParts(r, content)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), deltaOf(t, "a", 3, third, fourth)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rollback(t.Context(), rollbackTo("a", 4, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fork(t.Context(), forkOf("b", "a", 4)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		agent   string
		version uint64
		base    *hawserv1.Base
		held    []byte
		want    []byte
		used    bool
	}{
		{"a", 4, nil, nil, fourth, false},
		{"a", 4, baseOf(2, second), second, fourth, true},
		{"a", 4, baseOf(5, second), second, fourth, true},
		{"a", 5, baseOf(1, first), first, second, true},
		{"a", 5, baseOf(4, fourth), fourth, second, false},
		{"b", 1, nil, nil, fourth, false},
		{"b", 1, baseOf(3, third), third, fourth, false},
	} {
		got, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: tt.agent}, Version: tt.version, Base: tt.base})
		if err != nil || !bytes.Equal(rebuilt(t, got, tt.held), tt.want) {
			t.Errorf("%s@%d after %v: %v", tt.agent, tt.version, tt.base, err)
		} else if used := got[0].GetKeyframe() == nil; used != tt.used {
			t.Errorf("%s@%d after version %d: base used %v", tt.agent, tt.version, tt.base.GetNumber(), used)
		}
	}
}

// A delta that is not what it says is refused with words that name the fault;
// one whose base is not the head asks for a keyframe. A forwarded one is not
// verified again.
func TestSave_Deltas(t *testing.T) {
	s, _ := start(t)
	base := noise(5000, 1)
	next := slices.Concat(base, []byte("more"))
	if _, err := s.Save(t.Context(), saveOf("a", base, 0)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*hawserv1.SaveRequest)
		code   hawser.Code
	}{
		{"packed", func(r *hawserv1.SaveRequest) { r.Payload.Encoding = hawserv1.Encoding_ENCODING_ZSTD }, hawser.CodeInvalid},
		{"no base number", func(r *hawserv1.SaveRequest) { r.Payload.Base.Number = 0 }, hawser.CodeInvalid},
		{"half a hash", func(r *hawserv1.SaveRequest) { r.Payload.Base.Sha256 = r.Payload.Base.GetSha256()[:16] }, hawser.CodeInvalid},
		{"no state size", func(r *hawserv1.SaveRequest) { r.StateSize = 0 }, hawser.CodeInvalid},
		{"wrong state size", func(r *hawserv1.SaveRequest) { r.StateSize++ }, hawser.CodeInvalid},
		{"huge state size", func(r *hawserv1.SaveRequest) { r.StateSize = 1 << 60 }, hawser.CodeTooLarge},
		{"wrong size", func(r *hawserv1.SaveRequest) { r.Payload.Size++ }, hawser.CodeInvalid},
		{"huge", func(r *hawserv1.SaveRequest) { r.Payload.Size = record.MaxDelta + 1 }, hawser.CodeInvalid},
		{"wrong checksum", func(r *hawserv1.SaveRequest) { r.Payload.Crc32C++ }, hawser.CodeInvalid},
		{"parts", func(r *hawserv1.SaveRequest) { r.Payload.Parts = 2 }, hawser.CodeInvalid},
		{"no delta", func(r *hawserv1.SaveRequest) {
			b := r.GetPayload().GetBase()
			r.Payload = wire.ContentToProto(record.EncodeKeyframe(noise(50, 3)))
			r.Payload.Base = b
		}, hawser.CodeInvalid},
		{"for a base of another size", func(r *hawserv1.SaveRequest) {
			other, _ := record.EncodeDelta(base[1:], next)
			b := r.GetPayload().GetBase()
			r.Payload = wire.ContentToProto(other)
			r.Payload.Base = b
		}, hawser.CodeInvalid},
		{"too long inline", func(r *hawserv1.SaveRequest) {
			long := noise(record.MaxInline+1, 4)
			r.Payload = wire.ContentToProto(record.EncodeKeyframe(long))
			r.StateSize = 0
		}, hawser.CodeInvalid},
		{"another head", func(r *hawserv1.SaveRequest) { r.Payload.Base.Number = 7 }, hawser.CodeKeyframeNeeded},
		{"another hash of the head", func(r *hawserv1.SaveRequest) { r.Payload.Base.Sha256[0]++ }, hawser.CodeKeyframeNeeded},
		{"nothing wrong", func(*hawserv1.SaveRequest) {}, hawser.CodeOK},
	} {
		r := deltaOf(t, "a", 1, base, next)
		tt.change(r)
		if _, err := s.Save(t.Context(), r); hawser.CodeOf(err) != tt.code {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	r := saveOf("b", base, 0)
	r.Sha256[0]++
	if _, err := s.Save(forwarded(t), r); err != nil {
		t.Errorf("a forwarded save is verified again: %v", err)
	}
}

// Small bombs that unpack to many megabytes are verified without holding what
// they unpack to, a few at a time.
func TestSave_LargeStatesInFewBytes(t *testing.T) {
	s, _ := start(t)
	state := make([]byte, 64<<20)
	saved, err := s.Save(t.Context(), saveOf("a", state, 0))
	if err != nil || saved.GetVersion().GetSize() != 64<<20 {
		t.Fatalf("got %v, %v", saved, err)
	}
	r := saveOf("a", state, 1)
	r.Payload.Size--
	if _, err := s.Save(t.Context(), r); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("of another size: %v", err)
	}
	if len(s.unpacking) != 0 {
		t.Error("a place is taken for ever")
	}
}
