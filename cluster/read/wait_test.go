// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
)

// wait is the Indexer's Wait in the shape of LeaderIndex. (The cluster's own
// Wait is the machine's.)
func (c *cluster) wait(ctx context.Context) (uint64, error) { return 0, c.Indexer.Wait(ctx) }

// Claim: on the leader, Wait returns once the machine has applied the index of
// its round, and asks no other node for an index.
func TestWait_OnTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		r := x.read(t.Context(), x.wait)
		time.Sleep(50 * time.Millisecond)
		r.waits(t)
		x.set(&x.applied, 99)
		time.Sleep(50 * time.Millisecond)
		r.waits(t)
		x.set(&x.applied, 100)
		r.want(t, hawser.CodeOK)
		if x.asksLeader != 0 {
			t.Error("the leader asked for its own index")
		}
	})
}

// Claim: elsewhere, Wait waits for the leader's index, never for the node's own
// commit index; who arrives while a question is under way waits for the next.
func TestWait_OnAFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		index := uint64(500)
		x.ready = 0
		x.atLeader = func(ctx context.Context) (uint64, error) {
			at := x.get(&index)
			return at, pause(ctx, 10*time.Millisecond)
		}
		first := x.read(t.Context(), x.wait)
		time.Sleep(time.Millisecond)
		x.set(&index, 600)
		var late []*reader
		for range 20 {
			late = append(late, x.read(t.Context(), x.wait))
		}
		x.set(&x.applied, 499) // above the own commit index
		time.Sleep(100 * time.Millisecond)
		first.waits(t)
		x.set(&x.applied, 599)
		first.want(t, hawser.CodeOK)
		for _, r := range late {
			r.waits(t)
		}
		x.set(&x.applied, 600)
		for _, r := range late {
			r.want(t, hawser.CodeOK)
		}
		if voters, _ := x.asked("b"); x.asksLeader != 2 || voters != 0 {
			t.Errorf("asked the leader %d times, want 2; asked a voter %d times, want 0", x.asksLeader, voters)
		}
	})
}

// Claim: each way in which Wait can fail has its code.
func TestWait_Fails(t *testing.T) {
	for name, c := range map[string]struct {
		atLeader func(context.Context) (uint64, error)
		timeout  time.Duration
		want     hawser.Code
		took     time.Duration
	}{
		"no leader known": {
			atLeader: func(context.Context) (uint64, error) { return 0, hawser.ErrUnavailable },
			want:     hawser.CodeUnavailable,
		},
		"the leader is silent": {
			atLeader: func(ctx context.Context) (uint64, error) { return 0, pause(ctx, time.Hour) },
			want:     hawser.CodeUnavailable, took: DefaultLeaderTimeout,
		},
		"the leader is silent, by its own words": {
			atLeader: func(ctx context.Context) (uint64, error) { _ = pause(ctx, time.Hour); return 0, hawser.ErrDeadline },
			want:     hawser.CodeUnavailable, took: DefaultLeaderTimeout,
		},
		"it does not lead any more": {
			atLeader: func(context.Context) (uint64, error) { return 0, hawser.ErrNotLeader },
			want:     hawser.CodeNotLeader,
		},
		"the machine lags": {
			atLeader: func(context.Context) (uint64, error) { return 900, nil },
			timeout:  time.Second, want: hawser.CodeDeadline, took: time.Second,
		},
		"the caller leaves first": {
			atLeader: func(ctx context.Context) (uint64, error) { return 0, pause(ctx, time.Hour) },
			timeout:  time.Second, want: hawser.CodeDeadline, took: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newCluster(t, "a", "b", "c")
				defer x.Close()
				x.ready, x.atLeader = 0, c.atLeader
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if c.timeout != 0 {
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
				}
				defer cancel()
				r := x.read(ctx, x.wait)
				r.want(t, c.want)
				if r.took != c.took {
					t.Errorf("took %v, want %v", r.took, c.took)
				}
				if c.timeout != 0 && !errors.Is(r.err, context.DeadlineExceeded) {
					t.Errorf("%v does not wrap the caller's reason", r.err)
				}
			})
		})
	}
}

// Claim: a node that loses leadership while it asks the voters goes on to ask
// the new leader.
func TestWait_LeadershipMovesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		x.atLeader = func(context.Context) (uint64, error) { return 700, nil }
		x.applied = 700
		x.change("b", func(n *node) { n.term = 6 })
		r := x.read(t.Context(), x.wait)
		x.mu.Lock()
		x.term, x.ready = 6, 0
		x.mu.Unlock()
		r.want(t, hawser.CodeOK)
		if x.asksLeader != 1 {
			t.Errorf("asked the leader %d times, want once", x.asksLeader)
		}
	})
}
