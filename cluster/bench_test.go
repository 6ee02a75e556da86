// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hawserdb/hawser/hawsertest"
)

// BenchmarkCluster_Save is three nodes and their clients in one process; each
// operation is one save of 1 KiB that three nodes hold.
func BenchmarkCluster_Save(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			c := hawsertest.StartCluster(b, 3).Client()
			state := make([]byte, 1024)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(state)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var done sync.WaitGroup
			for i := range clients {
				done.Go(func() {
					a := c.Agent(fmt.Sprintf("bench/%d", i))
					for left.Add(-1) >= 0 {
						if _, err := a.Save(b.Context(), state); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			done.Wait()
			b.StopTimer()
		})
	}
}
