// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/jepsen/history"
)

// held is a claim or a lock that a client holds.
type held interface {
	Fence() hawser.Fence
	Done() <-chan struct{}
	Do(ctx context.Context, f func(context.Context) error) error
	Release(ctx context.Context) error
}

const (
	// lookTime is how often a holder looks whether it still is one.
	lookTime = 20 * time.Millisecond
	// stoodStill is how late it then is if its process has not run for a while.
	stoodStill = 100 * time.Millisecond
)

// own records that a client holds something, until it is lost or end is called,
// which is before it is given back.
func own(ctx context.Context, r *history.Recorder, id int, agent string, h held) (end func()) {
	op := r.Begin(history.Op{Client: id, Kind: history.Own, Agent: agent, Epoch: number(h)})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		look(ctx, r, h, op, stop)
		op.Outcome = history.OK
		r.End(op)
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-done
	})
}

// release gives back what a client holds, also when its time is over.
func release(ctx context.Context, h held) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	return h.Release(ctx)
}

// look notes when it was certain last that op is held, until it is lost or stop is
// closed. What is held at a later look was held when the look began.
func look(ctx context.Context, r *history.Recorder, h held, op *history.Op, stop <-chan struct{}) {
	ticker := time.NewTicker(lookTime)
	defer ticker.Stop()
	last := r.Now()
	for over := false; !over; {
		select {
		case <-ticker.C:
		case <-h.Done():
			over = true
		case <-stop:
			over = true
		}
		now := r.Now()
		if now-last > lookTime+stoodStill {
			op.Paused = true
		}
		if last = now; h.Do(ctx, nothing) == nil {
			op.Sure = now
		}
	}
}

func nothing(context.Context) error { return nil }

// number is that of the grant: it rises from one to the next.
func number(h held) uint64 {
	_, n := hawser.SplitToken(h.Fence().Token)
	return n
}
