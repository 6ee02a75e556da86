// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
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

// Messages sends messages through a pipeline of two stages: of three clients one
// sends to the first, one works in the first, which sends on to the second what
// it has made of them, and one works in the second.
type Messages struct {
	recorder *history.Recorder
	clients  atomic.Int64
	// behind is set while an inbox is long, so that senders wait.
	behind atomic.Bool
}

const (
	// stageAgents work in each stage. The last one of them has owners, the others
	// are written to by whoever comes.
	stageAgents = 3
	// longInbox is how many messages may wait, about.
	longInbox = 50
	// consumedAtOnce is how many messages a save consumes at most.
	consumedAtOnce = 5
	listenTime     = 300 * time.Millisecond
)

// worker is what a worker writes to: an agent, or the claim of one.
type worker interface {
	Restore(ctx context.Context, opts ...client.RestoreOption) (client.Checkpoint, error)
	Save(ctx context.Context, state []byte, opts ...client.SaveOption) (hawser.Version, error)
}

func (m *Messages) agent(stage, i int) string {
	return fmt.Sprintf("%s/%c-%d", m.Name(), 'a'+rune(stage), i)
}

// Name implements Workload.
func (*Messages) Name() string { return "messages" }

// Together implements Together.
func (*Messages) Together() {}

// Prepare implements Workload. Only an agent that is there gets messages.
func (m *Messages) Prepare(ctx context.Context, conn *client.Client) error {
	for i := range 2 * stageAgents {
		a := conn.Agent(m.agent(i%2, i/2))
		made := save(ctx, m.recorder, history.Op{Agent: a.ID().Name}, func(ctx context.Context, state []byte) (hawser.Version, error) {
			return a.Save(ctx, state)
		})
		if made.Outcome != history.OK {
			return fmt.Errorf("save the first state of %s: %s", made.Agent, made.Error)
		}
	}
	return keepAll(ctx, conn, m.Name())
}

// Run implements Workload.
func (m *Messages) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	role := m.clients.Add(1) % 3
	sender := conn.Sender()
	for ctx.Err() == nil {
		switch role {
		case 1:
			m.send(ctx, id, conn, sender, rng)
		default:
			m.work(ctx, id, conn, int(role)/2, rng)
		}
		pause(ctx, rng, 50*time.Millisecond)
		for role == 1 && m.behind.Load() && ctx.Err() == nil {
			pause(ctx, rng, 200*time.Millisecond)
		}
	}
}

// send sends a message to the first stage. One of which it is unknown whether it
// was sent is repeated now and then, by the same sender or from elsewhere, which
// must send it once in all.
func (m *Messages) send(ctx context.Context, id int, conn *client.Client, sender *client.Sender, rng *rand.Rand) {
	to := m.agent(0, rng.IntN(stageAgents))
	op := m.recorder.Begin(history.Op{Client: id, Kind: history.Send, Agent: to, Value: fmt.Sprintf("m%d-%d", id, m.recorder.Next())})
	defer m.recorder.End(op)
	err := m.try(ctx, op, sender)
	for range rng.IntN(4) {
		unknown, ok := errors.AsType[*hawser.UnknownMessageError](err)
		if !ok || ctx.Err() != nil {
			return
		}
		again := op.Error
		if rng.IntN(2) == 0 {
			err = m.try(ctx, op, sender)
		} else {
			err = m.try(ctx, op, conn.Sender(), client.WithMessageID(unknown.ID))
		}
		if err != nil { // a repeat that is refused says nothing of the first attempt
			op.Outcome, op.Error = history.Unknown, again+"; again: "+op.Error
		}
	}
}

func (m *Messages) try(ctx context.Context, op *history.Op, sender *client.Sender, opts ...client.MessageOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	sent, err := sender.Send(ctx, op.Agent, []byte(op.Value), opts...)
	op.Outcome, op.Error = outcome(err)
	op.Version, op.Revision = sent.Number, uint64(sent.Revision)
	return err
}

// work consumes messages of an agent of a stage.
func (m *Messages) work(ctx context.Context, id int, conn *client.Client, stage int, rng *rand.Rand) {
	i := rng.IntN(stageAgents)
	a := conn.Agent(m.agent(stage, i))
	if i < stageAgents-1 {
		m.step(ctx, id, stage, a, a, rng)
		return
	}
	claiming, cancel := context.WithTimeout(ctx, callTime)
	own, err := a.Claim(claiming, client.TTL(time.Second))
	cancel()
	if err != nil {
		return
	}
	for range 1 + rng.IntN(10) {
		m.step(ctx, id, stage, a, own, rng)
		pause(ctx, rng, 50*time.Millisecond)
	}
	_ = release(ctx, own) // if it fails, it ends with its TTL
}

// step consumes some of the messages that are there, and sends on what it makes of
// them: the value of the version that consumes them.
func (m *Messages) step(ctx context.Context, id, stage int, a *client.Agent, by worker, rng *rand.Rand) {
	found, conditional := m.receive(ctx, id, a, by, rng)
	if len(found.Values) == 0 {
		return
	}
	n := min(1+rng.IntN(consumedAtOnce), len(found.Values))
	op := history.Op{Client: id, Agent: found.Agent, Values: found.Values[:n], Numbers: found.Numbers[:n]}
	options := []client.SaveOption{client.Consume(op.Numbers...)}
	if !conditional {
		options = append(options, client.Overwrite())
	}
	if stage == 0 {
		for _, to := range rng.Perm(stageAgents)[:1+rng.IntN(2)] {
			op.Agents = append(op.Agents, m.agent(1, to))
		}
	}
	save(ctx, m.recorder, op, func(ctx context.Context, state []byte) (hawser.Version, error) {
		value, _, _ := strings.Cut(string(state), "\n")
		for _, to := range op.Agents {
			options = append(options, client.Emit(to, []byte(value)))
		}
		return by.Save(ctx, state, options...)
	})
}

// receive reads messages, with the state of the agent or as they come. Conditional
// is whether a save is to depend on that state.
func (m *Messages) receive(ctx context.Context, id int, a *client.Agent, by worker, rng *rand.Rand) (op *history.Op, conditional bool) {
	op = m.recorder.Begin(history.Op{Client: id, Kind: history.Receive, Agent: a.ID().Name})
	defer m.recorder.End(op)
	if rng.IntN(4) == 0 {
		listening, cancel := context.WithTimeout(ctx, listenTime)
		defer cancel()
		for message, err := range a.Inbox(listening) {
			if err != nil || len(op.Values) == consumedAtOnce {
				break
			}
			note(op, message)
		}
		op.Outcome = history.OK
		return op, false
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	cp, err := by.Restore(ctx)
	if op.Outcome, op.Error = outcome(err); err != nil {
		return op, false
	}
	op.Revision = uint64(cp.Revision)
	for _, message := range cp.Messages {
		note(op, message)
	}
	m.behind.Store(len(cp.Messages) > longInbox)
	return op, rng.IntN(2) == 0
}

func note(op *history.Op, message hawser.Message) {
	op.Values, op.Numbers = append(op.Values, string(message.Payload)), append(op.Numbers, message.Number)
}

// Finish implements Finisher.
func (m *Messages) Finish(ctx context.Context, conn *client.Client) error {
	for i := range 2 * stageAgents {
		if err := m.left(ctx, conn.Agent(m.agent(i%2, i/2))); err != nil {
			return err
		}
	}
	return nil
}

// left records what is left in an inbox, at a revision or later.
func (m *Messages) left(ctx context.Context, a *client.Agent) error {
	op := m.recorder.Begin(history.Op{Kind: history.Left, Agent: a.ID().Name})
	defer m.recorder.End(op)
	cp, err := a.Restore(ctx, client.WithoutMessages())
	if err != nil {
		return err
	}
	for message, err := range a.Messages(ctx) {
		if err != nil {
			return err
		}
		note(op, message)
	}
	op.Outcome, op.Revision = history.OK, uint64(cp.Revision)
	return nil
}

// Check implements Workload.
func (*Messages) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Messages(ops, final), check.Versions(ops, final)}
}
