// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/judge"
)

// Locks has clients write to a resource outside of the cluster, each while it
// holds the lock that guards it; and now and then afterwards, as one does that has
// not noticed that it holds it no longer.
type Locks struct {
	recorder *history.Recorder
	judge    *judge.Client
}

const (
	locks   = 2
	lockTTL = 700 * time.Millisecond
)

// Name implements Workload.
func (*Locks) Name() string { return "locks" }

// Prepare implements Workload.
func (*Locks) Prepare(context.Context, *client.Client) error { return nil }

// Run implements Workload.
func (l *Locks) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		l.tenure(ctx, id, conn, fmt.Sprintf("%s/%d", l.Name(), rng.IntN(locks)), rng)
		pause(ctx, rng, 200*time.Millisecond)
	}
}

// tenure holds a lock for a while, or until it is lost. Between a look at the lock
// and the write is time in which it may be lost.
func (l *Locks) tenure(ctx context.Context, id int, conn *client.Client, name string, rng *rand.Rand) {
	lock, err := conn.Lock(ctx, name, client.TTL(lockTTL))
	if err != nil {
		return
	}
	end := own(ctx, l.recorder, id, name, lock)
	for range rng.IntN(20) {
		if lock.Err() != nil || ctx.Err() != nil {
			break
		}
		pause(ctx, rng, 50*time.Millisecond)
		l.write(ctx, id, name, lock.Fence())
	}
	end()
	_ = release(ctx, lock) // if it fails, it ends with its TTL
	if rng.IntN(4) == 0 {
		pause(ctx, rng, 100*time.Millisecond)
		l.write(ctx, id, name, lock.Fence())
	}
}

func (l *Locks) write(ctx context.Context, id int, name string, fence hawser.Fence) {
	_, number := hawser.SplitToken(fence.Token)
	op := l.recorder.Begin(history.Op{
		Client: id, Kind: history.Write, Agent: name, Epoch: number, Value: fmt.Sprintf("c%d-%d", id, l.recorder.Next()),
	})
	defer l.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	switch err := l.judge.Write(ctx, judge.Writing{Client: id, Lock: name, Value: op.Value, Fence: fence}); {
	case err == nil:
		op.Outcome = history.OK
	case errors.Is(err, hawser.ErrFenced):
		op.Outcome, op.Error = history.Failed, err.Error()
	default:
		op.Error = err.Error()
	}
}

// Check implements Workload.
func (*Locks) Check(ops []history.Op, _ check.Final) []check.Verdict {
	return []check.Verdict{check.Locks(ops)}
}
