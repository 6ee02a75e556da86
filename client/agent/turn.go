// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// ErrStopping is what waiting in a step ends with when Run's context has ended. A
// step that returns it is dropped like any other that fails, but is no failure.
var ErrStopping = errors.New("the agent is being stopped")

// Turn is what a step has to do with. It is for the step's goroutine alone, and
// until the step returns; [Turn.Effect] may be called by several at once.
type Turn[S any] struct {
	// State is the agent's, for the step to change.
	State *S

	tenure *tenure[S]
	// opts is what the next save is to do besides.
	opts []client.SaveOption
	load load
	// urgent: it is to be saved when the step is over.
	urgent bool
}

// load is how much of what a save may carry there is.
type load struct{ consumed, emitted, bytes int }

func (l load) add(m load) load {
	return load{l.consumed + m.consumed, l.emitted + m.emitted, l.bytes + m.bytes}
}

// fits reports whether one save carries it, labels and names left aside.
func (l load) fits() bool {
	return l.consumed <= hawser.MaxConsumed && l.emitted <= hawser.MaxEmitted && l.bytes <= hawser.MaxEmittedBytes/2
}

// Claim is the ownership under which the step runs, for what the turn has no
// method for. What is saved through it the turn does not know of.
func (t *Turn[S]) Claim() *client.Claim { return t.tenure.claim }

// Version is the newest version that was restored or saved, 0 for none.
func (t *Turn[S]) Version() uint64 { return t.tenure.claim.Agent().Head() }

// Unreflected returns the effects that were open when the agent was restored, and
// those whose end the restored version did not reflect.
func (t *Turn[S]) Unreflected() []hawser.Effect { return slices.Clone(t.tenure.effects) }

// Save saves the state as it is in the middle of the step, with what was consumed
// and sent.
func (t *Turn[S]) Save(ctx context.Context) (hawser.Version, error) {
	return t.tenure.saveNow(ctx, t)
}

// Effect runs a call to the world outside once for all repetitions of the step, as
// [client.Agent.Effect] describes. The id is to be the same when the step is done
// again.
func (t *Turn[S]) Effect(
	ctx context.Context, id string, policy hawser.EffectPolicy, run func(ctx context.Context, key string) ([]byte, error), opts ...client.EffectOption,
) ([]byte, error) {
	return t.tenure.claim.Effect(ctx, id, policy, run, opts...)
}

// Message waits for the next message of the agent's inbox, which is consumed by the
// next save. While it waits, a transaction may change the state: a step that takes
// part in some waits first, before it changes anything. It ends with
// [ErrStopping] when the agent is being stopped. A step takes at most
// hawser.MaxConsumed messages.
func (t *Turn[S]) Message(ctx context.Context) (hawser.Message, error) {
	m, err := t.tenure.message(ctx, t)
	if err != nil {
		return m, err
	}
	t.load.consumed++
	t.opts = append(t.opts, client.Consume(m.Number))
	return m, nil
}

// Send sends a message to another agent with the next save: both happen or neither. A
// step sends hawser.MaxEmitted messages at most, of hawser.MaxEmittedBytes together.
func (t *Turn[S]) Send(to string, payload []byte, opts ...client.MessageOption) {
	t.load = t.load.add(load{emitted: 1, bytes: len(payload)})
	t.opts = append(t.opts, client.Emit(to, slices.Clone(payload), opts...))
}

// With has the save after this step carry further options, such as [client.Label] or
// [client.EffectDone].
func (t *Turn[S]) With(opts ...client.SaveOption) {
	t.opts, t.urgent = append(t.opts, opts...), true
}
