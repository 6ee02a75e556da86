// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// quickRaft commits each group of entries that wait together after delay, as
// raft does with one fsync and one round trip a group.
type quickRaft struct {
	proposer *Proposer
	delay    time.Duration
	entries  chan fsm.Applied
	results  []fsm.Result
}

func (q *quickRaft) Term() uint64   { return 1 }
func (q *quickRaft) IsLeader() bool { return true }
func (q *quickRaft) Info() fsm.Info { return fsm.Info{} }

// Propose reads id and number of commands as fsm.AppendBatch writes them; to
// decode the batch would be the machine's cost.
func (q *quickRaft) Propose(data []byte) error {
	n := int(data[25])
	if n >= 128 {
		n = n&127 | int(data[26])<<7
	}
	a := fsm.Applied{Term: 1, ID: fsm.BatchID(data[1:17]), Results: q.results[:n]}
	if q.delay == 0 {
		q.proposer.OnApplied([]fsm.Applied{a})
		return nil
	}
	q.entries <- a
	return nil
}

func (q *quickRaft) run() {
	var group []fsm.Applied
	for a := range q.entries {
		group = append(group[:0], a)
		for len(q.entries) > 0 {
			group = append(group, <-q.entries)
		}
		for end := time.Now().Add(q.delay); time.Until(end) > 0; {
			time.Sleep(time.Until(end) / 2)
		}
		q.proposer.OnApplied(group)
	}
}

func benchmarkSubmit(b *testing.B, callers, inFlight int, delay time.Duration) {
	b.Helper()
	q := &quickRaft{delay: delay, entries: make(chan fsm.Applied, 64), results: make([]fsm.Result, 16384)}
	p, err := New(Config{
		Raft: q, Machine: q, Node: "a", MaxInFlight: inFlight,
		Clock:     NewClock(ClockConfig{Self: "a", Voters: func() []string { return []string{"a"} }}),
		ClusterID: func() [16]byte { return [16]byte{1} }, Generation: func() uint64 { return 1 },
	})
	if err != nil {
		b.Fatal(err)
	}
	q.proposer = p
	go q.run()
	defer close(q.entries)
	defer p.Close()
	p.OnLeadership(Leadership{Term: 1, Leader: true})
	for deadline := time.Now().Add(5 * time.Second); p.ReadyTerm() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("not ready")
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, callers)
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		go func() {
			command := save(1, 1024)
			for left.Add(-1) >= 0 {
				if _, err := p.Submit(b.Context(), command); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	s := p.Stats()
	b.ReportMetric(float64(s.Commands)/float64(s.Batches), "commands/entry")
}

// BenchmarkSubmit is the cost of a 1 KiB save in the Proposer alone ("instant":
// raft applies at once) and its throughput on a raft that needs 300 µs for
// every group of entries.
func BenchmarkSubmit(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("instant/callers=%d", callers), func(b *testing.B) { benchmarkSubmit(b, callers, DefaultMaxInFlight, 0) })
	}
	for _, callers := range []int{1, 64, 256} {
		for _, inFlight := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("300us/callers=%d/inflight=%d", callers, inFlight), func(b *testing.B) {
				benchmarkSubmit(b, callers, inFlight, 300*time.Microsecond)
			})
		}
	}
}
