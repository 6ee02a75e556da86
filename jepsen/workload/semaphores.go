// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Semaphores has clients hold places of semaphores, which are fewer than those who
// want one.
type Semaphores struct{ recorder *history.Recorder }

const (
	semaphores = 2
	// places is how many may hold each of them.
	places = 2
)

// Name implements Workload.
func (*Semaphores) Name() string { return "semaphores" }

// Prepare implements Workload: it records how many places there are.
func (s *Semaphores) Prepare(context.Context, *client.Client) error {
	for i := range semaphores {
		s.recorder.Record(history.Op{Kind: history.Semaphore, Agent: s.semaphore(i), Number: places, Outcome: history.OK})
	}
	return nil
}

func (s *Semaphores) semaphore(i int) string { return fmt.Sprintf("%s/%d", s.Name(), i) }

// Run implements Workload.
func (s *Semaphores) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		s.tenure(ctx, id, conn, s.semaphore(rng.IntN(semaphores)), rng)
		pause(ctx, rng, 100*time.Millisecond)
	}
}

// tenure holds a place for a while, or until it is lost.
func (s *Semaphores) tenure(ctx context.Context, id int, conn *client.Client, name string, rng *rand.Rand) {
	lock, err := conn.Lock(ctx, name, client.TTL(lockTTL), client.Capacity(places))
	if err != nil {
		return
	}
	end := own(ctx, s.recorder, id, name, lock)
	for range rng.IntN(20) {
		if lock.Err() != nil || ctx.Err() != nil {
			break
		}
		pause(ctx, rng, 50*time.Millisecond)
	}
	end()                  // before anybody else can hold it
	_ = release(ctx, lock) // if it fails, it ends with its TTL
}

// Check implements Workload.
func (*Semaphores) Check(ops []history.Op, _ check.Final) []check.Verdict {
	return []check.Verdict{check.Semaphores(ops)}
}
