// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Claims has clients own agents by turns, and save as their owners. Owners and others
// hand claims over to some client that waits, and open agents to everybody, and then
// save without a claim.
type Claims struct{ recorder *history.Recorder }

// claimed is how many agents there are.
const claimed = 2

// Name implements Workload.
func (*Claims) Name() string { return "claims" }

// Prepare implements Workload.
func (*Claims) Prepare(context.Context, *client.Client) error { return nil }

// Run implements Workload.
func (c *Claims) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		a := conn.Agent(fmt.Sprintf("%s/%d", c.Name(), rng.IntN(claimed)))
		if rng.IntN(3) == 0 {
			c.take(ctx, id, a, rng)
		} else {
			c.tenure(ctx, id, a, rng)
		}
		pause(ctx, rng, 200*time.Millisecond)
	}
}

// tenure owns an agent for a while, or until it is lost.
func (c *Claims) tenure(ctx context.Context, id int, a *client.Agent, rng *rand.Rand) {
	claim, err := a.Claim(ctx, client.TTL(time.Second))
	if err != nil {
		return
	}
	name, r, epoch := a.ID().Name, c.recorder, number(claim)
	end := own(ctx, r, id, name, claim)
	for range rng.IntN(20) {
		if claim.Err() != nil || ctx.Err() != nil {
			break
		}
		switch dice := rng.IntN(40); {
		case dice == 0:
			c.take(ctx, id, a, rng)
		case dice < 10:
			restore(ctx, r, id, a, 0)
		default:
			save(ctx, r, history.Op{Client: id, Agent: name, Epoch: epoch}, func(ctx context.Context, state []byte) (hawser.Version, error) {
				return claim.Save(ctx, state, client.Overwrite())
			})
		}
		pause(ctx, rng, 50*time.Millisecond)
	}
	end()                     // before anybody else can own it
	err = release(ctx, claim) // if it fails, the claim ends with its TTL
	if err == nil && rng.IntN(3) == 0 {
		save(ctx, r, history.Op{Client: id, Agent: name, Epoch: epoch, Deposed: true}, func(ctx context.Context, state []byte) (hawser.Version, error) {
			return a.Save(ctx, state, client.Overwrite(), client.WithFence(claim.Fence().Token))
		})
	}
}

// take takes the claim of an agent from whoever owns it.
func (c *Claims) take(ctx context.Context, id int, a *client.Agent, rng *rand.Rand) {
	if rng.IntN(3) > 0 {
		c.handOver(ctx, id, a, rng)
	} else {
		c.unclaim(ctx, id, a, rng)
	}
}

// handOver hands a claim over to one of those who wait.
func (c *Claims) handOver(ctx context.Context, id int, a *client.Agent, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	found, err := a.Owner(ctx)
	if err != nil || len(found.Waiters) == 0 {
		return
	}
	to := found.Waiters[rng.IntN(len(found.Waiters))].Instance
	first := slices.IndexFunc(found.Waiters, func(w hawser.Waiter) bool { return w.Instance == to }) // it may wait twice
	op := c.recorder.Begin(history.Op{
		Client: id, Kind: history.HandOver, Agent: a.ID().Name, To: to, Lease: found.Waiters[first].Lease.String(),
		Value: fmt.Sprintf("c%d-%d", id, c.recorder.Next()),
	})
	defer c.recorder.End(op)
	op.Outcome, op.Error = outcome(a.Handover(ctx, to, op.Value))
}

// unclaim opens an agent to everybody, and saves without a claim, until somebody
// owns it again and a little longer.
func (c *Claims) unclaim(ctx context.Context, id int, a *client.Agent, rng *rand.Rand) {
	name := a.ID().Name
	op := c.recorder.Begin(history.Op{Client: id, Kind: history.Unclaim, Agent: name, Value: fmt.Sprintf("c%d-%d", id, c.recorder.Next())})
	calling, cancel := context.WithTimeout(ctx, callTime)
	op.Outcome, op.Error = outcome(a.Unclaim(calling, op.Value))
	cancel()
	c.recorder.End(op)
	for range 1 + rng.IntN(5) {
		save(ctx, c.recorder, history.Op{Client: id, Agent: name}, func(ctx context.Context, state []byte) (hawser.Version, error) {
			return a.Save(ctx, state, client.Overwrite())
		})
		pause(ctx, rng, 50*time.Millisecond)
	}
}

// Check implements Workload.
func (*Claims) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Fencing(ops, final), check.Versions(ops, final)}
}
