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
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Register saves states of agents, with and without a condition, and restores
// them. Agents change every few seconds, so that what nobody knows of one does
// not burden the search for an order for the whole run.
type Register struct {
	Recorder *history.Recorder
	// Agents are used at a time.
	Agents int

	values atomic.Int64
}

const (
	// agentsLast is how long the same agents are used.
	agentsLast = 8 * time.Second
	// callTime bounds one operation: what takes longer has an unknown outcome.
	callTime = 3 * time.Second
	// maxPause is between two operations of a client.
	maxPause = 30 * time.Millisecond
	prefix   = "register"
)

// Run makes one client work until ctx ends. Conn is its own.
func (r *Register) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	heads := map[string]uint64{}
	for ctx.Err() == nil {
		agent := fmt.Sprintf("%s/%d/%d", prefix, r.Recorder.Now()/agentsLast, rng.IntN(r.Agents))
		switch dice := rng.IntN(100); {
		case dice < 30:
			r.save(ctx, id, conn, agent, nil, heads)
		case dice < 50:
			expect := heads[agent]
			r.save(ctx, id, conn, agent, &expect, heads)
		case dice < 85 || heads[agent] == 0:
			r.restore(ctx, id, conn, agent, 0, heads)
		default:
			r.restore(ctx, id, conn, agent, 1+rng.Uint64N(heads[agent]), heads)
		}
		select {
		case <-time.After(time.Duration(rng.Int64N(int64(maxPause)))):
		case <-ctx.Done():
		}
	}
}

func (r *Register) save(ctx context.Context, id int, conn *client.Client, agent string, expect *uint64, heads map[string]uint64) {
	value := fmt.Sprintf("c%d-%d", id, r.values.Add(1))
	op := r.Recorder.Begin(history.Op{Client: id, Kind: history.Save, Agent: agent, Expect: expect, Value: value})
	defer r.Recorder.End(op)
	condition := client.Overwrite()
	if expect != nil {
		condition = client.ExpectVersion(*expect)
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	v, err := conn.Agent(agent).Save(ctx, content(agent, value), condition)
	op.Outcome, op.Error = outcome(err)
	op.Version, op.Revision = v.Number, uint64(v.Revision)
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok && op.Outcome == history.Failed {
		op.Conflict, op.Version = true, conflict.Head.Number
	}
	if op.Version != 0 {
		heads[agent] = op.Version
	}
}

func (r *Register) restore(ctx context.Context, id int, conn *client.Client, agent string, number uint64, heads map[string]uint64) {
	op := r.Recorder.Begin(history.Op{Client: id, Kind: history.Restore, Agent: agent, Number: number})
	defer r.Recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := conn.Agent(agent).Restore(ctx, client.AtVersion(number))
	if errors.Is(err, hawser.ErrNotFound) && number == 0 {
		op.Outcome = history.OK // there is none
		return
	}
	op.Outcome, op.Error = outcome(err)
	if err != nil {
		return
	}
	op.Version, op.Revision = got.Version.Number, uint64(got.Revision)
	op.Value = valueOf(agent, got.State)
	if number == 0 {
		heads[agent] = op.Version
	}
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
	sum := sha256.Sum256([]byte(agent))
	rng := rand.New(rand.NewChaCha8(sum))
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
func (r *Register) Final(ctx context.Context, node *client.Client, at hawser.Revision, ops []history.Op) (map[string]check.Chain, error) {
	values := map[hawser.Hash]string{}
	for _, op := range ops {
		if op.Kind == history.Save {
			values[sha256.Sum256(content(op.Agent, op.Value))] = op.Value
		}
	}
	chains := map[string]check.Chain{}
	for a, err := range node.Agents(ctx, prefix, client.MinRevision(at)) {
		if err != nil {
			return nil, err
		}
		name := a.ID.Name
		chain := make(check.Chain, a.Head) // what is missing stays "", which nobody has saved
		for v, err := range node.Agent(name).Versions(ctx, client.MinRevision(at)) {
			if err != nil {
				return nil, err
			}
			value, ok := values[v.SHA256]
			switch {
			case !ok:
				value = "content with the hash " + v.SHA256.String()
			case v.Parent != v.Number-1:
				value += fmt.Sprintf(", which follows version %d", v.Parent)
			}
			chain[v.Number-1] = value
		}
		chains[name] = chain
	}
	return chains, nil
}
