// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// BenchmarkApply applies conditional saves of 1 KiB states, so many to an
// entry, of a thousand agents in turn. One operation is one entry.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { benchmarkApply(b, size) })
	}
}

func benchmarkApply(b *testing.B, size int) {
	b.Helper()
	m := open(b, b.TempDir(), fsm.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	state := make([]byte, 1<<10)
	for i := range state {
		state[i] = "abcdefghijklmnopqrstuvwxyz0123456789 {}:,\"\n"[rng.IntN(43)]
	}
	content := record.EncodeKeyframe(state)
	const agents = 1000
	heads := make([]uint64, agents)
	var index uint64
	b.ReportAllocs()
	for n := 0; b.Loop(); n += size {
		var encoded [][]byte
		for i := range size {
			at := (n + i) % agents
			expect := heads[at]
			heads[at]++
			s := &fsm.Save{
				Agent: hawser.AgentID{Namespace: "default", Name: fmt.Sprintf("crew/agent-%d", at)}, Expect: &expect,
				Request: fsm.Request{Seen: expect}, Instance: "bench-1", ContentType: "application/json", Content: content,
			}
			binary.BigEndian.PutUint64(s.Request.Nonce[:], uint64(n+i))
			encoded = append(encoded, fsm.AppendCommand(nil, s))
		}
		index++
		out, err := m.Apply([]fsm.Entry{{Index: index, Term: 1, Kind: fsm.EntryCommand, Data: fsm.AppendBatch(nil, fsm.BatchID{}, int64(index), encoded)}})
		if err != nil {
			b.Fatal(err)
		}
		for _, res := range out[0].Results {
			if res.Err != nil {
				b.Fatal(res.Err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/save")
}

// open opens a machine that is closed at the end of the test.
func open(tb testing.TB, dir string, opts fsm.Options) *fsm.Machine {
	tb.Helper()
	m, err := fsm.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return m
}
