// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Cuts saves groups of agents together, makes cuts of them meanwhile, and rolls
// groups back to their cuts.
type Cuts struct {
	recorder *history.Recorder

	mu sync.Mutex
	// cuts are the newest names of cuts of each group, guarded by mu.
	cuts [groups][]string
}

const (
	groups  = 2
	members = 4
	// keptCuts is how many cuts of a group there are at a time.
	keptCuts = 10
)

func (c *Cuts) group(i int) string { return fmt.Sprintf("%s/g%d", c.Name(), i) }

func (c *Cuts) members(group int) (names []string) {
	for i := range members {
		names = append(names, fmt.Sprintf("%s/%d", c.group(group), i))
	}
	return names
}

// Name implements Workload.
func (*Cuts) Name() string { return "cuts" }

// Together implements Together.
func (*Cuts) Together() {}

// Prepare implements Workload.
func (c *Cuts) Prepare(ctx context.Context, conn *client.Client) error {
	for group := range groups {
		if made := c.save(ctx, 0, conn, group); made.Outcome != history.OK {
			return fmt.Errorf("save the first states of %s: %s", c.group(group), made.Error)
		}
	}
	return keepAll(ctx, conn, c.Name())
}

// Run implements Workload.
func (c *Cuts) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		group := rng.IntN(groups)
		switch dice := rng.IntN(100); {
		case dice < 50:
			c.save(ctx, id, conn, group)
		case dice < 70:
			c.heads(ctx, id, conn, group)
		case dice < 80:
			c.cut(ctx, id, conn, group, rng)
		case dice < 90:
			c.show(ctx, id, conn, group, rng)
		default:
			c.rollback(ctx, id, conn, group, rng)
		}
		pause(ctx, rng, 100*time.Millisecond)
	}
}

// save saves one value for all agents of a group.
func (c *Cuts) save(ctx context.Context, id int, conn *client.Client, group int) history.Op {
	op := c.recorder.Begin(history.Op{
		Client: id, Kind: history.SaveAll, Agent: c.group(group), Agents: c.members(group), Value: fmt.Sprintf("c%d-%d", id, c.recorder.Next()),
	})
	defer c.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var saves []client.Saving
	for _, name := range op.Agents {
		saves = append(saves, client.SaveOf(conn.Agent(name), content(name, op.Value), client.Overwrite()))
	}
	made, err := conn.SaveAll(ctx, saves...)
	op.Outcome, op.Error = outcome(err)
	for _, version := range made {
		op.Numbers, op.Revision = append(op.Numbers, version.Number), uint64(version.Revision)
	}
	return *op
}

// heads reads which versions the agents of a group have; a list is of one revision.
func (c *Cuts) heads(ctx context.Context, id int, conn *client.Client, group int) {
	op := c.recorder.Begin(history.Op{Client: id, Kind: history.Heads, Agent: c.group(group)})
	defer c.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	for a, err := range conn.Agents(ctx, c.group(group)) {
		if err != nil {
			op.Outcome, op.Error = outcome(err)
			return
		}
		op.Agents, op.Numbers = append(op.Agents, a.ID.Name), append(op.Numbers, a.Version.Number)
	}
	op.Outcome = history.OK
}

// cut makes a cut of a group, by its names or by its prefix, and removes an old one.
func (c *Cuts) cut(ctx context.Context, id int, conn *client.Client, group int, rng *rand.Rand) {
	op := c.recorder.Begin(history.Op{
		Client: id, Kind: history.Cut, Agent: c.group(group), Value: fmt.Sprintf("%s/c%d", c.group(group), c.recorder.Next()),
	})
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	of := client.CutPrefix(c.group(group))
	if rng.IntN(2) == 0 {
		of = client.CutAgents(c.members(group)...)
	}
	made, err := conn.Cut(ctx, op.Value, of)
	op.Outcome, op.Error = outcome(err)
	took(op, made)
	c.recorder.End(op)
	if op.Outcome == history.Failed {
		return
	}
	if old := c.keep(group, op.Value); old != "" {
		_ = conn.DeleteCut(ctx, old) // if it stays, it does no harm
	}
}

// took notes what is in a cut.
func took(op *history.Op, cut hawser.Cut) {
	op.Revision = uint64(cut.Revision)
	for _, a := range cut.Agents {
		op.Agents, op.Numbers = append(op.Agents, a.Agent.Name), append(op.Numbers, a.Number)
	}
}

// keep notes the name of a cut, and returns one that is to go.
func (c *Cuts) keep(group int, name string) (old string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts[group] = append(c.cuts[group], name); len(c.cuts[group]) > keptCuts {
		old, c.cuts[group] = c.cuts[group][0], c.cuts[group][1:]
	}
	return old
}

// choose returns the name of a cut of a group, "" if there is none.
func (c *Cuts) choose(group int, rng *rand.Rand) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cuts[group]) == 0 {
		return ""
	}
	return c.cuts[group][rng.IntN(len(c.cuts[group]))]
}

// show lists the cuts, and reads one.
func (c *Cuts) show(ctx context.Context, id int, conn *client.Client, group int, rng *rand.Rand) {
	name := c.choose(group, rng)
	if name == "" {
		return
	}
	// The revision that is told is that of the cut, and old.
	op := c.recorder.Begin(history.Op{Client: id, Kind: history.ShowCut, Agent: c.group(group), Value: name, Stale: true})
	defer c.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	cut, err := conn.ShowCut(ctx, name)
	if op.Outcome, op.Error = outcome(err); err != nil {
		return
	}
	took(op, cut)
	for listed, err := range conn.Cuts(ctx) {
		if err == nil && listed.Name.Name == name && listed.Revision != cut.Revision {
			op.Revision = uint64(listed.Revision)
		}
	}
}

// rollback rolls a group back to a cut, and repeats that if it is unknown whether
// it was done.
func (c *Cuts) rollback(ctx context.Context, id int, conn *client.Client, group int, rng *rand.Rand) {
	name := c.choose(group, rng)
	if name == "" {
		return
	}
	op := c.recorder.Begin(history.Op{Client: id, Kind: history.RollbackTo, Agent: c.group(group), Value: name})
	defer c.recorder.End(op)
	err := c.rollBackTo(ctx, conn, op)
	if unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err); ok && rng.IntN(2) == 0 && ctx.Err() == nil {
		if err := c.rollBackTo(ctx, conn, op, client.RepeatOf(unknown.RequestID)); err != nil {
			op.Outcome = history.Unknown // the first attempt may have done it
		}
	}
}

func (c *Cuts) rollBackTo(ctx context.Context, conn *client.Client, op *history.Op, opts ...client.RollbackOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	report, err := conn.RollbackTo(ctx, op.Value, opts...)
	op.Outcome, op.Error = outcome(err)
	op.Revision = uint64(report.Revision)
	for _, a := range report.Agents {
		op.Agents, op.Numbers = append(op.Agents, a.Agent.Name), append(op.Numbers, a.Made)
	}
	return err
}

// Check implements Workload.
func (*Cuts) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Cuts(ops, final)}
}
