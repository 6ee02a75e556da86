// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package workload makes clients use a cluster, and records what they see.
package workload

import (
	"context"
	"crypto/sha256"
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

// Workload is a way to use a cluster. Its methods are safe for concurrent use.
type Workload interface {
	// Name is also what the names of its agents begin with.
	Name() string
	// Prepare makes what the clients need. There are no faults yet.
	Prepare(ctx context.Context, conn *client.Client) error
	// Run makes a client work until ctx ends. The connection is its own.
	Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand)
	// Check says what the history shows; ops and final are the workload's own.
	Check(ops []history.Op, final check.Final) []check.Verdict
}

// Reader is a workload with clients that only read, one for each node, of which it
// knows no other.
type Reader interface {
	Workload

	Read(ctx context.Context, id int, conn *client.Client, rng *rand.Rand)
}

// Together is a workload whose clients share what they know: none of them is a
// process of its own.
type Together interface {
	Workload

	Together()
}

// Finisher is a workload that also records what there is in the end, when all
// faults are healed and nothing writes any more.
type Finisher interface {
	Finish(ctx context.Context, conn *client.Client) error
}

// All returns every workload. Socket is where the resource listens that is guarded
// by locks.
func All(r *history.Recorder, socket string) []Workload {
	return []Workload{
		&Register{recorder: r}, &Claims{recorder: r}, &Bank{recorder: r}, &Locks{recorder: r, judge: judge.Dial(socket)}, &Leases{recorder: r},
		&Messages{recorder: r}, &Effects{recorder: r}, &Cuts{recorder: r}, &Archives{recorder: r},
		&Semaphores{recorder: r},
	}
}

// callTime bounds one operation: what takes longer has an unknown outcome.
const callTime = 3 * time.Second

// save sends a state that stands for a value of its own, and records what came of
// it. Op.Value is what the value begins with.
func save(
	ctx context.Context, r *history.Recorder, op history.Op, send func(context.Context, []byte) (hawser.Version, error),
) history.Op {
	op.Kind, op.Value = history.Save, fmt.Sprintf("%sc%d-%d", op.Value, op.Client, r.Next())
	return write(ctx, r, op, func(ctx context.Context) (hawser.Version, error) { return send(ctx, content(op.Agent, op.Value)) })
}

// write sends what changes an agent, and records what came of it.
func write(ctx context.Context, r *history.Recorder, op history.Op, send func(context.Context) (hawser.Version, error)) history.Op {
	begun := r.Begin(op)
	defer r.End(begun)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	v, err := send(ctx)
	begun.Outcome, begun.Error = outcome(err)
	begun.Code = hawser.CodeOf(err)
	begun.Version, begun.Revision, begun.Machine = v.Number, uint64(v.Revision), v.CreatedAt.UnixNano()
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok && begun.Outcome == history.Failed {
		begun.Conflict, begun.Version = true, conflict.Head.Number
	}
	return *begun
}

// keepAll has the cluster remove no version of the agents below a prefix, whatever
// becomes of its clock.
func keepAll(ctx context.Context, conn *client.Client, prefix string) error {
	_, err := conn.SetRetention(ctx, prefix, hawser.Retention{})
	return err
}

// restore reads a version, the head for 0, and records what was read.
func restore(ctx context.Context, r *history.Recorder, id int, a *client.Agent, number uint64) history.Op {
	return read(ctx, r, history.Op{Client: id, Number: number}, a, client.AtVersion(number))
}

// read reads what options say of an agent, and records what was read.
func read(ctx context.Context, r *history.Recorder, of history.Op, a *client.Agent, opts ...client.RestoreOption) history.Op {
	of.Kind, of.Agent = history.Restore, a.ID().Name
	op := r.Begin(of)
	defer r.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := a.Restore(ctx, opts...)
	if errors.Is(err, hawser.ErrNotFound) || of.Number != 0 && errors.Is(err, hawser.ErrVersionGone) {
		op.Outcome = history.OK // there is none
		return *op
	}
	op.Code = hawser.CodeOf(err)
	if op.Outcome, op.Error = outcome(err); err == nil {
		op.Version, op.Revision, op.Value = got.Version.Number, uint64(got.Revision), valueOf(of.Agent, got.State)
	}
	return *op
}

// outcome is what an error says of what became of a write.
func outcome(err error) (history.Outcome, string) {
	switch {
	case err == nil:
		return history.OK, ""
	case errors.Is(err, hawser.ErrOutcomeUnknown):
		return history.Unknown, err.Error()
	}
	return history.Failed, err.Error()
}

// Final returns what a node has of all agents, at a revision or later.
func Final(ctx context.Context, node *client.Client, at hawser.Revision, ops []history.Op) (map[string]check.Chain, error) {
	values := map[hawser.Hash]string{}
	for _, op := range ops {
		switch op.Kind { //nolint:exhaustive // the others save nothing
		case history.Save:
			values[sha256.Sum256(content(op.Agent, op.Value))] = op.Value
		case history.SaveAll:
			for _, agent := range op.Agents {
				values[sha256.Sum256(content(agent, op.Value))] = op.Value
			}
		}
	}
	chains := map[string]check.Chain{}
	for _, op := range ops {
		if op.Kind == history.Delete {
			chains[op.Agent] = nil // unless it is there again
		}
	}
	for a, err := range node.Agents(ctx, "", client.MinRevision(at)) {
		if err != nil {
			return nil, err
		}
		chain := make(check.Chain, a.Head)
		for v, err := range node.Agent(a.ID.Name).Versions(ctx, client.MinRevision(at)) {
			if err != nil {
				return nil, err
			}
			made := check.Version{Value: values[v.SHA256], Revision: uint64(v.Revision), Epoch: v.Epoch, Txn: v.Txn}
			if made.Value == "" {
				made.Value = "content with the hash " + v.SHA256.String()
			}
			if v.Number == 0 || v.Number > uint64(len(chain)) {
				return nil, fmt.Errorf("agent %s has %d versions, and one with the number %d", a.ID.Name, len(chain), v.Number)
			}
			made.Parent = v.Parent
			chain[v.Number-1] = made
		}
		chains[a.ID.Name] = chain
	}
	return chains, nil
}

// pause waits for up to so long.
func pause(ctx context.Context, rng *rand.Rand, most time.Duration) {
	timer := time.NewTimer(time.Duration(rng.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
