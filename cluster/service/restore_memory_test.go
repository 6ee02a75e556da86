// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// slow is a stream that measures what was allocated before each message, and
// drops them.
type slow struct {
	sent[hawserv1.RestoreResponse]

	begin  runtime.MemStats
	before []uint64 // bytes allocated since the begin
	sizes  []int
}

func (s *slow) Send(m *hawserv1.RestoreResponse) error {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	s.before = append(s.before, now.TotalAlloc-s.begin.TotalAlloc)
	s.sizes = append(s.sizes, proto.Size(m))
	return nil
}

// Claim: a restore holds one message and a content, whatever the length of the
// path and with a base too. Method: before the first message goes, no more is
// allocated than for a few messages, on a path of 6 MiB.
func TestRestore_Memory(t *testing.T) {
	s, _ := start(t)
	state := noise(2<<20, 1)
	if _, err := saveParts(t, s, inParts("a", state, 0)); err != nil {
		t.Fatal(err)
	}
	states := [][]byte{state}
	for i := range 40 {
		next := bytes.Clone(states[i])
		copy(next[i*(40<<10):], noise(100<<10, byte(i+2)))
		if _, err := s.Save(t.Context(), deltaOf(t, "a", uint64(i+1), states[i], next)); err != nil {
			t.Fatal(err)
		}
		states = append(states, next)
	}
	for name, base := range map[string]*hawserv1.Base{"whole": nil, "after the first": baseOf(1, states[0]), "the same": baseOf(41, states[40])} {
		stream := &slow{sent: sent[hawserv1.RestoreResponse]{ctx: t.Context()}}
		runtime.ReadMemStats(&stream.begin)
		if err := s.Restore(&hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}, Base: base}, stream); err != nil {
			t.Fatal(err)
		}
		if first := stream.before[0]; first > 1<<20 {
			t.Errorf("%s: %d bytes before the first message", name, first)
		}
		if most := slices.Max(stream.sizes); most > maxRestoreMessage {
			t.Errorf("%s: a message of %d bytes", name, most)
		}
		if name != "the same" && len(stream.sizes) < 15 {
			t.Errorf("%s: only %d messages", name, len(stream.sizes))
		}
	}
}
