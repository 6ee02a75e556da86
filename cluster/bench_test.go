// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hawserdb/hawser/client"
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

// BenchmarkCluster_Transact is three nodes, 16 initiators and 64 agents in one
// process; each operation is a transaction in which two agents vote yes with a
// new state of 1 KiB.
func BenchmarkCluster_Transact(b *testing.B) {
	const agents, initiators = 64, 16
	c := hawsertest.StartCluster(b, 3).Client()
	ctx, cancel := context.WithCancel(b.Context())
	var attended sync.WaitGroup
	for i := range agents {
		own, err := c.Agent(fmt.Sprintf("bench/%d", i)).Claim(ctx)
		if err != nil {
			b.Fatal(err)
		}
		state := make([]byte, 1024)
		rng := rand.NewChaCha8([32]byte{byte(i)})
		attended.Go(func() {
			_ = own.Participate(ctx, client.Participant{Prepare: func(context.Context, client.TxnRequest) ([]byte, error) {
				_, _ = rng.Read(state)
				return state, nil
			}})
		})
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var done sync.WaitGroup
	for range initiators {
		done.Go(func() {
			for left.Add(-1) >= 0 {
				i := rand.IntN(agents)
				if _, err := c.Transact(ctx, client.Txn{Participants: []client.TxnTask{
					{Agent: fmt.Sprintf("bench/%d", i)}, {Agent: fmt.Sprintf("bench/%d", (i+1)%agents)},
				}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	b.StopTimer()
	cancel()
	attended.Wait()
}
