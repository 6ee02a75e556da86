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

// Register saves states of agents, small and large, with and without a condition,
// rolls them back, deletes them, and restores them, also stale. Agents change every
// few seconds, so that what nobody knows of one does not burden the search for an
// order for the whole run.
type Register struct{ recorder *history.Recorder }

const (
	// registers are used at a time, for as long as registersLast.
	registers     = 4
	registersLast = 8 * time.Second
	// searchTime bounds the search for an order of the operations.
	searchTime = 2 * time.Minute
	// impatience is how long a client waits that only reads, and readersAtOnce how
	// many of its reads are under way.
	impatience    = 250 * time.Millisecond
	readersAtOnce = 3
)

// Name implements Workload.
func (*Register) Name() string { return "register" }

// Prepare implements Workload.
func (*Register) Prepare(context.Context, *client.Client) error { return nil }

// seen is what a client knows of an agent.
type seen struct {
	head, revision uint64
	values         map[uint64]string
}

func (s *seen) learn(op history.Op) {
	s.head = max(s.head, op.Version)
	s.revision = max(s.revision, op.Revision)
	if op.Outcome == history.OK && op.Version != 0 {
		s.values[op.Version] = op.Value
	}
}

// Run implements Workload.
func (r *Register) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	known := map[string]*seen{}
	for ctx.Err() == nil {
		a := conn.Agent(r.agent(rng))
		s := known[a.ID().Name]
		if s == nil {
			s = &seen{values: map[uint64]string{}}
			known[a.ID().Name] = s
		}
		s.learn(r.step(ctx, id, a, s, rng))
		pause(ctx, rng, 30*time.Millisecond)
	}
}

// agent is one of those that are used now.
func (r *Register) agent(rng *rand.Rand) string {
	return fmt.Sprintf("%s/%d/%d", r.Name(), r.recorder.Now()/registersLast, rng.IntN(registers))
}

func (r *Register) step(ctx context.Context, id int, a *client.Agent, s *seen, rng *rand.Rand) history.Op {
	switch dice := rng.IntN(200); {
	case dice < 56:
		return r.save(ctx, id, a, nil, "", rng)
	case dice < 60:
		return r.save(ctx, id, a, nil, large(rng), rng)
	case dice < 96:
		return r.save(ctx, id, a, &s.head, "", rng)
	case dice < 98 && s.head != 0:
		return r.delete(ctx, id, a, s.head)
	case dice < 104 && s.head != 0:
		return r.rollback(ctx, id, a, s, rng)
	case dice < 116:
		return read(ctx, r.recorder, history.Op{Client: id, Stale: true}, a, client.Stale())
	case dice < 128:
		return read(ctx, r.recorder, history.Op{Client: id, Stale: true, Least: s.revision}, a, client.MinRevision(hawser.Revision(s.revision)))
	case dice < 170 || s.head == 0:
		return restore(ctx, r.recorder, id, a, 0)
	}
	return restore(ctx, r.recorder, id, a, 1+rng.Uint64N(s.head))
}

// Read implements Reader: it reads heads and does not wait for long, so that a node
// that stood still finds requests which came when it led no longer.
func (r *Register) Read(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	var readers sync.WaitGroup
	for range readersAtOnce {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		readers.Go(func() {
			for ctx.Err() == nil {
				reading, cancel := context.WithTimeout(ctx, impatience)
				restore(reading, r.recorder, id, conn.Agent(r.agent(own)), 0)
				cancel()
				pause(ctx, own, 100*time.Millisecond)
			}
		})
	}
	readers.Wait()
}

// save saves, and repeats a save now and then of which nobody knows what became.
func (r *Register) save(ctx context.Context, id int, a *client.Agent, expect *uint64, begins string, rng *rand.Rand) history.Op {
	condition := client.Overwrite()
	op := history.Op{Client: id, Agent: a.ID().Name, Value: begins}
	if expect != nil {
		head := *expect
		op.Expect, condition = &head, client.ExpectVersion(head)
	}
	return save(ctx, r.recorder, op, func(calling context.Context, state []byte) (hawser.Version, error) {
		v, err := a.Save(calling, state, condition)
		unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err)
		if !ok || rng.IntN(2) == 0 {
			return v, err
		}
		pause(ctx, rng, time.Second)
		repeating, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		again, why := a.Save(repeating, state, client.WithRequestID(unknown.RequestID))
		if why == nil || errors.Is(why, hawser.ErrConflict) {
			return again, why
		}
		return v, errors.Join(err, why) // it is as unknown as before
	})
}

func (r *Register) delete(ctx context.Context, id int, a *client.Agent, head uint64) history.Op {
	op := history.Op{Client: id, Kind: history.Delete, Agent: a.ID().Name, Expect: &head}
	return write(ctx, r.recorder, op, func(ctx context.Context) (hawser.Version, error) {
		return hawser.Version{}, a.Delete(ctx, client.ExpectVersion(head))
	})
}

// rollback rolls back to a version that the client knows.
func (r *Register) rollback(ctx context.Context, id int, a *client.Agent, s *seen, rng *rand.Rand) history.Op {
	number := 1 + rng.Uint64N(s.head)
	value, ok := s.values[number]
	if !ok {
		return restore(ctx, r.recorder, id, a, number)
	}
	head := s.head
	op := history.Op{Client: id, Kind: history.Rollback, Agent: a.ID().Name, Number: number, Value: value, Expect: &head}
	return write(ctx, r.recorder, op, func(ctx context.Context) (hawser.Version, error) {
		return a.Rollback(ctx, number, client.ExpectVersion(head))
	})
}

// Check implements Workload.
func (*Register) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Linearizable(ops, searchTime), check.Versions(ops, final), check.Reads(ops, final)}
}
