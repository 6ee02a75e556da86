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

// Register saves states of agents, with and without a condition, and restores
// them. Agents change every few seconds, so that what nobody knows of one does
// not burden the search for an order for the whole run.
type Register struct{ recorder *history.Recorder }

const (
	// registers are used at a time, for as long as registersLast.
	registers     = 4
	registersLast = 8 * time.Second
	// searchTime bounds the search for an order of the operations.
	searchTime = 2 * time.Minute
)

// Name implements Workload.
func (*Register) Name() string { return "register" }

// Prepare implements Workload.
func (*Register) Prepare(context.Context, *client.Client) error { return nil }

// Run implements Workload.
func (r *Register) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	heads := map[string]uint64{}
	for ctx.Err() == nil {
		name := fmt.Sprintf("%s/%d/%d", r.Name(), r.recorder.Now()/registersLast, rng.IntN(registers))
		a := conn.Agent(name)
		var op history.Op
		switch dice := rng.IntN(100); {
		case dice < 30:
			op = r.save(ctx, id, a, nil)
		case dice < 50:
			expect := heads[name]
			op = r.save(ctx, id, a, &expect)
		case dice < 85 || heads[name] == 0:
			op = restore(ctx, r.recorder, id, a, 0)
		default:
			op = restore(ctx, r.recorder, id, a, 1+rng.Uint64N(heads[name]))
		}
		heads[name] = max(heads[name], op.Version)
		pause(ctx, rng, 30*time.Millisecond)
	}
}

func (r *Register) save(ctx context.Context, id int, a *client.Agent, expect *uint64) history.Op {
	condition := client.Overwrite()
	if expect != nil {
		condition = client.ExpectVersion(*expect)
	}
	op := history.Op{Client: id, Agent: a.ID().Name, Expect: expect}
	return save(ctx, r.recorder, op, func(ctx context.Context, state []byte) (hawser.Version, error) {
		return a.Save(ctx, state, condition)
	})
}

// Check implements Workload.
func (*Register) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Linearizable(ops, searchTime), check.Versions(ops, final)}
}
