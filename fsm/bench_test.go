// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
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

// BenchmarkDelta applies conditional saves of deltas of some 60 bytes to 1 KiB
// states, 16 to an entry, of a thousand agents in turn; where the chain is full
// it saves a keyframe. One operation is one entry.
func BenchmarkDelta(b *testing.B) {
	const agents, size = 1000, 16
	m := open(b, b.TempDir(), fsm.Options{})
	d := newDriver(b, m)
	state := bytes.Repeat([]byte("0123456789abcdef"), 64)
	rand.NewChaCha8([32]byte{1}).Read(state)
	keyframe := record.EncodeKeyframe(state)
	delta, ok := record.EncodeDelta(state, append(bytes.Clone(state), bytes.Repeat([]byte("z"), 8)...))
	if !ok {
		b.Fatal("no delta")
	}
	heads := make([]uint64, agents)
	b.ReportAllocs()
	for n := 0; b.Loop(); n += size {
		commands := make([]fsm.Command, 0, size)
		for i := range size {
			at := (n + i) % agents
			s := &fsm.Save{Agent: agentID(fmt.Sprintf("crew/agent-%d", at)), Request: fsm.Request{Seen: heads[at]}, Instance: "bench-1", Content: keyframe}
			if heads[at]%65 != 0 { // the chain rule does not ask what the delta makes
				s.Content, s.Base = delta, &fsm.Base{Number: heads[at]}
			}
			binary.BigEndian.PutUint64(s.Request.Nonce[:], uint64(n+i)+1)
			heads[at]++
			commands = append(commands, s)
		}
		d.apply(commands...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/save")
}

// BenchmarkPrune prunes a thousand versions but ten of an agent, of which
// every 20th is a keyframe, 512 at most in one command, from a store with a
// thousand other agents. One operation is one agent.
func BenchmarkPrune(b *testing.B) {
	const versions, keep = 1000, 10
	m := open(b, b.TempDir(), fsm.Options{})
	d := newDriver(b, m)
	state := make([]byte, 4<<10)
	rand.NewChaCha8([32]byte{1}).Read(state)
	keyframe := record.EncodeKeyframe(state)
	delta, _ := record.EncodeDelta(state, append(bytes.Clone(state), "more"...))
	fill := func(id hawser.AgentID, versions int) {
		for n := 0; n < versions; {
			var commands []fsm.Command
			for ; n < versions && len(commands) < 100; n++ {
				s := &fsm.Save{Agent: id, Request: fsm.Request{Seen: uint64(n)}, Instance: "bench-1", Content: keyframe}
				if n%20 != 0 {
					s.Content, s.Base = delta, &fsm.Base{Number: uint64(n)}
				}
				binary.BigEndian.PutUint64(s.Request.Nonce[:], uint64(n)+1)
				commands = append(commands, s)
			}
			d.apply(commands...)
		}
	}
	for i := range 1000 {
		fill(agentID(fmt.Sprintf("other/%d", i)), 20)
	}
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		id := agentID(fmt.Sprintf("crew/agent-%d", n))
		fill(id, versions)
		if err := m.Flush(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for from := uint64(1); from <= versions-keep; from += 512 {
			d.apply(&fsm.Prune{Agent: id, Ranges: []fsm.NumberRange{{From: from, To: min(from+511, versions-keep)}}})
		}
	}
	b.ReportMetric(float64(b.N*(versions-keep))/b.Elapsed().Seconds(), "versions/s")
}

// driver applies commands, which must all be executed.
type driver struct {
	b     *testing.B
	m     *fsm.Machine
	index uint64
}

func newDriver(b *testing.B, m *fsm.Machine) *driver {
	b.Helper()
	return &driver{b: b, m: m}
}

func (d *driver) apply(commands ...fsm.Command) {
	d.b.Helper()
	d.index++
	out, err := d.m.Apply([]fsm.Entry{command(d.index, int64(d.index), commands...)})
	if err != nil {
		d.b.Fatal(err)
	}
	for _, res := range out[0].Results {
		if res.Err != nil {
			d.b.Fatal(res.Err)
		}
	}
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
