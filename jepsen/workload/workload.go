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
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
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

// Finisher is a workload that also records what there is in the end, when all
// faults are healed and nothing writes any more.
type Finisher interface {
	Finish(ctx context.Context, conn *client.Client) error
}

// All returns every workload.
func All(r *history.Recorder) []Workload {
	return []Workload{
		&Register{recorder: r}, &Claims{recorder: r}, &Bank{recorder: r},
		&Messages{recorder: r}, &Effects{recorder: r}, &Cuts{recorder: r}, &Archives{recorder: r},
	}
}

// callTime bounds one operation: what takes longer has an unknown outcome.
const callTime = 3 * time.Second

// save sends a state that stands for a value of its own, and records what came of it.
func save(
	ctx context.Context, r *history.Recorder, op history.Op, send func(context.Context, []byte) (hawser.Version, error),
) history.Op {
	op.Kind, op.Value = history.Save, fmt.Sprintf("c%d-%d", op.Client, r.Next())
	begun := r.Begin(op)
	defer r.End(begun)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	v, err := send(ctx, content(op.Agent, begun.Value))
	begun.Outcome, begun.Error = outcome(err)
	begun.Version, begun.Revision = v.Number, uint64(v.Revision)
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
	name := a.ID().Name
	op := r.Begin(history.Op{Client: id, Kind: history.Restore, Agent: name, Number: number})
	defer r.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := a.Restore(ctx, client.AtVersion(number))
	if errors.Is(err, hawser.ErrNotFound) && number == 0 {
		op.Outcome = history.OK // there is none
		return *op
	}
	if op.Outcome, op.Error = outcome(err); err == nil {
		op.Version, op.Revision, op.Value = got.Version.Number, uint64(got.Revision), valueOf(name, got.State)
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

// content is the state that stands for a value: a few kilobytes, of which most
// are the same in all states of the agent.
func content(agent, value string) []byte {
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(agent))))
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", value, agent)
	for range 100 + rng.IntN(200) {
		fmt.Fprintf(&b, "fact %d: %x\n", rng.IntN(1000), rng.Uint64())
	}
	return []byte(b.String())
}

// valueOf returns the value for which a state stands; one that is no state of the
// agent stands for itself, which nobody has saved.
func valueOf(agent string, state []byte) string {
	value, _, _ := strings.Cut(string(state), "\n")
	if string(content(agent, value)) != string(state) {
		return fmt.Sprintf("%d bytes that begin with %q and are no state of it", len(state), value)
	}
	return value
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
			if v.Parent != v.Number-1 {
				made.Value += fmt.Sprintf(", which follows version %d", v.Parent)
			}
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
