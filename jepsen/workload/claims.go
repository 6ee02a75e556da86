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

// Claims has clients own agents by turns, and save as their owners.
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
		c.tenure(ctx, id, conn.Agent(fmt.Sprintf("%s/%d", c.Name(), rng.IntN(claimed))), rng)
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
		if rng.IntN(4) == 0 {
			restore(ctx, r, id, a, 0)
		} else {
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

// Check implements Workload.
func (*Claims) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Fencing(ops, final), check.Versions(ops, final)}
}
