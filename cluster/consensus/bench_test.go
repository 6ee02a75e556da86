// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// BenchmarkStoreLogs appends through the wrapper: one fsynced append each.
func BenchmarkStoreLogs(b *testing.B) {
	for _, kind := range logKinds {
		for _, size := range []int{256, 4 << 10, 256 << 10} {
			b.Run(fmt.Sprintf("%s/%dB", kind, size), func(b *testing.B) {
				c := logConfig(b, b.TempDir(), kind)
				c.segmentSize = 64 << 20
				l := mustOpenLog(b, c)
				defer func() { _ = l.Close() }()
				data := make([]byte, size)
				b.SetBytes(int64(size))
				index := uint64(0)
				for b.Loop() {
					index++
					if err := l.StoreLogs([]*raft.Log{{Index: index, Term: 1, Data: data}}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkPropose commits entries of 1 KiB states on three replicas in one
// process, with the given number in flight.
func BenchmarkPropose(b *testing.B) {
	for _, inflight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inflight), func(b *testing.B) {
			g := newGroup(b, 3, func(c *Config) { c.segmentSize = 64 << 20 })
			m := g.leader()
			g.propose(m, 1, 1024)
			done, sent := m.count(), 0
			base := done
			for b.Loop() {
				for sent-(m.count()-base) >= inflight {
					yield()
				}
				g.seq++
				sent++
				if err := m.replica.Propose(command(b, "a", g.seq, 1024)); err != nil {
					b.Fatal(err)
				}
			}
			for m.count()-base < sent {
				yield()
			}
		})
	}
}

func yield() { time.Sleep(20 * time.Microsecond) }
