// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Leases has clients own agents for many times their TTL, which only renewals make
// possible, while others wait for them: some until they die, or stand still for
// nearly as long as they may.
type Leases struct{ recorder *history.Recorder }

const (
	leased = 3
	// longest is how long one owns an agent at most, if it can.
	longest = 10 * time.Second
)

// Name implements Workload.
func (*Leases) Name() string { return "leases" }

// Prepare implements Workload.
func (*Leases) Prepare(context.Context, *client.Client) error { return nil }

// Run implements Workload.
func (l *Leases) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		l.tenure(ctx, id, conn.Agent(fmt.Sprintf("%s/%d", l.Name(), rng.IntN(leased))), rng)
		pause(ctx, rng, 100*time.Millisecond)
	}
}

// tenure owns an agent for as long as it likes, or until it is lost.
func (l *Leases) tenure(ctx context.Context, id int, a *client.Agent, rng *rand.Rand) {
	ttl := hawser.MinTTL + time.Duration(rng.Int64N(int64(2*time.Second)))
	claim, err := a.Claim(ctx, client.TTL(ttl))
	if err != nil {
		return
	}
	name, r, epoch := a.ID().Name, l.recorder, number(claim)
	end := own(ctx, r, id, name, claim)
	for until := r.Now() + time.Duration(rng.Int64N(int64(longest))); r.Now() < until && claim.Err() == nil && ctx.Err() == nil; {
		save(ctx, r, history.Op{Client: id, Agent: name, Epoch: epoch}, func(ctx context.Context, state []byte) (hawser.Version, error) {
			return claim.Save(ctx, state, client.Overwrite())
		})
		pause(ctx, rng, 400*time.Millisecond)
	}
	end()                   // before anybody else can own it
	_ = release(ctx, claim) // if it fails, it ends with its TTL
}

// Check implements Workload. That leases end neither early nor late is checked of
// all workloads together.
func (*Leases) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Fencing(ops, final), check.Versions(ops, final)}
}
