// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Effects has agents pay at a server outside of the cluster, which counts. They go
// back to earlier versions and are forked now and then, and pay under the same ids
// again.
type Effects struct {
	recorder *history.Recorder
	forks    atomic.Int64

	mu sync.Mutex
	// agents are those that there are; used are the effects of each that
	// somebody has begun, or tried to. Both are guarded by mu.
	agents []string
	used   map[string]map[string]bool
	// receipts are of the payments by key, guarded by mu.
	receipts map[string]string
}

const (
	// payers are the agents at first. The second half has owners.
	payers = 4
	// maxForks is how often agents are made of others.
	maxForks = 8
	// paymentsLast is how long agents use effects before they take others, of which
	// each has so many at a time.
	paymentsLast = 4 * time.Second
	payments     = 8
)

// policyOf returns the policy of an effect, which is the same for all that begin it.
func policyOf(effect string) hawser.EffectPolicy {
	switch name, _, _ := strings.Cut(effect, "-"); name {
	case hawser.OnUnknownRetry.String():
		return hawser.OnUnknownRetry
	case hawser.OnUnknownSkip.String():
		return hawser.OnUnknownSkip
	}
	return hawser.OnUnknownAsk
}

// Errors of the payment server: it has done nothing, or nobody knows.
var (
	errRefused  = errors.New("the payment was refused")
	errNoAnswer = errors.New("the payment server did not answer")
)

// payer is what has effects: an agent, or the claim of one.
type payer interface {
	worker
	Effect(
		ctx context.Context, id string, policy hawser.EffectPolicy, run func(ctx context.Context, key string) ([]byte, error), opts ...client.EffectOption,
	) ([]byte, error)
	BeginEffect(ctx context.Context, id string, policy hawser.EffectPolicy, opts ...client.EffectOption) (hawser.Effect, bool, error)
	Rollback(ctx context.Context, number uint64, opts ...client.WriteOption) (hawser.Version, error)
}

// Name implements Workload.
func (*Effects) Name() string { return "effects" }

// Together implements Together.
func (*Effects) Together() {}

// Prepare implements Workload.
func (e *Effects) Prepare(ctx context.Context, conn *client.Client) error {
	e.used, e.receipts = map[string]map[string]bool{}, map[string]string{}
	for i := range payers {
		a := conn.Agent(fmt.Sprintf("%s/%d", e.Name(), i))
		made := save(ctx, e.recorder, history.Op{Agent: a.ID().Name}, func(ctx context.Context, state []byte) (hawser.Version, error) {
			return a.Save(ctx, state)
		})
		if made.Outcome != history.OK {
			return fmt.Errorf("save the first state of %s: %s", made.Agent, made.Error)
		}
		e.agents = append(e.agents, made.Agent)
	}
	return keepAll(ctx, conn, e.Name())
}

// Run implements Workload.
func (e *Effects) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		name, owned := e.choose(rng)
		a := conn.Agent(name)
		if owned {
			e.tenure(ctx, id, a, rng)
		} else {
			e.act(ctx, id, a, a, rng)
		}
		if rng.IntN(30) == 0 {
			e.fork(ctx, id, conn, rng)
		}
		pause(ctx, rng, 100*time.Millisecond)
	}
}

func (e *Effects) choose(rng *rand.Rand) (name string, owned bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := rng.IntN(len(e.agents))
	return e.agents[i], i >= payers/2 && i < payers
}

// effect chooses an effect of these days, or now and then one of before.
func (e *Effects) effect(agent string, rng *rand.Rand) string {
	days := int(e.recorder.Now() / paymentsLast)
	if rng.IntN(5) == 0 {
		days = rng.IntN(days + 1)
	}
	n := days*payments + rng.IntN(payments)
	effect := fmt.Sprintf("%s-%d", hawser.EffectPolicy(1+n%3), n)
	e.use(agent, effect)
	return effect
}

func (e *Effects) use(agent, effect string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.used[agent] == nil {
		e.used[agent] = map[string]bool{}
	}
	e.used[agent][effect] = true
}

// tenure owns an agent for a while, or until it is lost. After that it must not
// begin anything.
func (e *Effects) tenure(ctx context.Context, id int, a *client.Agent, rng *rand.Rand) {
	claiming, cancel := context.WithTimeout(ctx, callTime)
	own, err := a.Claim(claiming, client.TTL(time.Second))
	cancel()
	if err != nil {
		return
	}
	for range 1 + rng.IntN(8) {
		if own.Err() != nil || ctx.Err() != nil {
			break
		}
		e.act(ctx, id, a, own, rng)
		pause(ctx, rng, 50*time.Millisecond)
	}
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	if err := own.Release(releasing); err != nil || rng.IntN(3) > 0 {
		return // if it fails, the claim ends with its TTL
	}
	op := e.begin(history.Op{Client: id, Kind: history.Begin, Agent: a.ID().Name, Effect: fmt.Sprintf("ask-late-%d", e.recorder.Next()), Deposed: true})
	defer e.recorder.End(op)
	_, _, err = a.BeginEffect(releasing, op.Effect, hawser.OnUnknownAsk, client.WithFence(own.Fence().Token))
	op.Outcome, op.Error = outcome(err)
}

func (e *Effects) begin(op history.Op) *history.Op {
	e.use(op.Agent, op.Effect)
	return e.recorder.Begin(op)
}

// act does one thing that agents do.
func (e *Effects) act(ctx context.Context, id int, a *client.Agent, by payer, rng *rand.Rand) {
	name := a.ID().Name
	switch dice := rng.IntN(100); {
	case dice < 55:
		e.run(ctx, id, a, by, rng)
	case dice < 75:
		e.runAndSave(ctx, id, name, by, rng)
	case dice < 88:
		save(ctx, e.recorder, history.Op{Client: id, Agent: name}, func(ctx context.Context, state []byte) (hawser.Version, error) {
			return by.Save(ctx, state, client.Overwrite())
		})
	default:
		e.goBack(ctx, id, name, by, rng)
	}
}

// run runs an effect and records its end. One that has ended must not end
// otherwise, which is tried now and then.
func (e *Effects) run(ctx context.Context, id int, a *client.Agent, by payer, rng *rand.Rand) {
	effect := e.effect(a.ID().Name, rng)
	op := e.begin(history.Op{Client: id, Kind: history.Run, Agent: a.ID().Name, Effect: effect})
	calling, cancel := context.WithTimeout(ctx, callTime)
	result, err := by.Effect(calling, effect, policyOf(effect), func(ctx context.Context, key string) ([]byte, error) {
		op.Key = key
		return e.pay(ctx, *op, rng)
	})
	cancel()
	switch {
	case errors.Is(err, errRefused) && hawser.CodeOf(err) == hawser.CodeInternal: // and that is recorded
		op.Outcome, op.Value = history.OK, check.FailedEnd
	default:
		told(op, result, err)
	}
	e.recorder.End(op)
	if op.Outcome == history.OK && rng.IntN(10) == 0 {
		e.forge(ctx, id, a, effect)
	}
}

// told notes what somebody was told of an effect.
func told(op *history.Op, result []byte, err error) {
	switch {
	case err == nil:
		op.Outcome, op.Value = history.OK, string(result)
	case errors.Is(err, hawser.ErrEffectFailed):
		op.Outcome, op.Value = history.OK, check.FailedEnd
	case op.Key != "": // it has run, and its end may be recorded
		op.Outcome, op.Error = history.Unknown, err.Error()
	default:
		op.Outcome, op.Error = outcome(err)
	}
}

// forge records another end of an effect that has ended. Of an agent with an owner
// it is refused anyway.
func (e *Effects) forge(ctx context.Context, id int, a *client.Agent, effect string) {
	op := e.begin(history.Op{
		Client: id, Kind: history.Finish, Agent: a.ID().Name, Effect: effect, Value: fmt.Sprintf("forged-%d", e.recorder.Next()),
	})
	defer e.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := a.FinishEffect(ctx, effect, []byte(op.Value))
	op.Outcome, op.Error = outcome(err)
}

// runAndSave runs an effect and records its end with a save.
func (e *Effects) runAndSave(ctx context.Context, id int, name string, by payer, rng *rand.Rand) {
	receipt := e.beginAndPay(ctx, id, name, by, rng)
	if receipt.Value == "" {
		return
	}
	op := history.Op{Client: id, Agent: name, Effect: receipt.Effect, Values: []string{receipt.Value}}
	save(ctx, e.recorder, op, func(ctx context.Context, state []byte) (hawser.Version, error) {
		return by.Save(ctx, state, client.Overwrite(), client.EffectDone(receipt.Effect, []byte(receipt.Value)))
	})
}

// beginAndPay returns the receipt if it was told to pay, and did.
func (e *Effects) beginAndPay(ctx context.Context, id int, name string, by payer, rng *rand.Rand) (receipt history.Op) {
	effect := e.effect(name, rng)
	op := e.begin(history.Op{Client: id, Kind: history.Begin, Agent: name, Effect: effect})
	defer e.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	is, run, err := by.BeginEffect(ctx, effect, policyOf(effect))
	if op.Outcome, op.Error = outcome(err); err != nil {
		return history.Op{}
	}
	if !run {
		op.Value = endOf(is)
		return history.Op{}
	}
	op.Key = is.Key
	receipt = *op
	if result, err := e.pay(ctx, *op, rng); err == nil {
		receipt.Value = string(result)
	}
	return receipt
}

// endOf is how an effect ended, "" if it is open.
func endOf(e hawser.Effect) string {
	switch e.State {
	case hawser.EffectDone:
		return string(e.Result)
	case hawser.EffectFailed:
		return check.FailedEnd
	case hawser.EffectOpen, hawser.EffectRetry:
	}
	return ""
}

// pay is the payment server. It may be slow, refuse, or do it and not say so. It
// keeps the keys of effects that may be run again, and not those of others.
func (e *Effects) pay(ctx context.Context, by history.Op, rng *rand.Rand) ([]byte, error) {
	op := e.recorder.Begin(history.Op{Client: by.Client, Kind: history.Pay, Agent: by.Agent, Effect: by.Effect, Key: by.Key})
	defer e.recorder.End(op)
	op.Outcome = history.Failed
	switch dice := rng.IntN(100); {
	case dice < 3:
		pause(ctx, rng, 2*time.Second)
	case dice < 20:
		pause(ctx, rng, 300*time.Millisecond)
	case dice < 25:
		return nil, client.NotDone(errRefused)
	case dice < 30:
		return nil, errNoAnswer
	}
	op.Outcome, op.Value = history.OK, e.receipt(by)
	if rng.IntN(20) == 0 {
		return nil, errNoAnswer
	}
	return []byte(op.Value), nil
}

func (e *Effects) receipt(by history.Op) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	receipt, known := e.receipts[by.Key]
	if !known || policyOf(by.Effect) != hawser.OnUnknownRetry {
		receipt = fmt.Sprintf("receipt-%d", e.recorder.Next())
		e.receipts[by.Key] = receipt
	}
	return receipt
}

// goBack rolls an agent back, and looks at what it is told of the effects before
// and after it.
func (e *Effects) goBack(ctx context.Context, id int, name string, by payer, rng *rand.Rand) {
	head := e.restore(ctx, id, name, by, 0).Version
	if head < 2 {
		return
	}
	to := head - 1 - rng.Uint64N(min(head-1, 5))
	if rng.IntN(2) == 0 {
		e.restore(ctx, id, name, by, to)
		return
	}
	e.rollback(ctx, id, name, by, to)
	e.restore(ctx, id, name, by, 0)
}

func (e *Effects) rollback(ctx context.Context, id int, name string, by payer, to uint64) {
	op := e.recorder.Begin(history.Op{Client: id, Kind: history.Rollback, Agent: name, Number: to})
	defer e.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	made, err := by.Rollback(ctx, to, client.Overwrite())
	op.Outcome, op.Error = outcome(err)
	op.Version, op.Revision = made.Number, uint64(made.Revision)
}

// restore reads a version, the head for 0, and what it tells of effects.
func (e *Effects) restore(ctx context.Context, id int, name string, by payer, number uint64) history.Op {
	op := e.recorder.Begin(history.Op{Client: id, Kind: history.Restore, Agent: name, Number: number})
	defer e.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	cp, err := by.Restore(ctx, client.AtVersion(number))
	if op.Outcome, op.Error = outcome(err); err != nil {
		return *op
	}
	op.Version, op.Revision = cp.Version.Number, uint64(cp.Revision)
	for _, is := range cp.Effects {
		op.Values = append(op.Values, is.ID, endOf(is))
	}
	return *op
}

// fork makes an agent of another one. Nobody uses one of which it is unknown
// whether it is there: a save would make it another agent.
func (e *Effects) fork(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	if e.forks.Add(1) > maxForks {
		return
	}
	source, _ := e.choose(rng)
	op := e.recorder.Begin(history.Op{
		Client: id, Kind: history.Fork, Agent: fmt.Sprintf("%s/fork-%d", e.Name(), e.recorder.Next()), Agents: []string{source},
	})
	defer e.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	made, err := conn.Agent(source).Fork(ctx, op.Agent)
	op.Outcome, op.Error = outcome(err)
	op.Version, op.Revision = made.Number, uint64(made.Revision)
	if err == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.agents = append(e.agents, op.Agent)
	}
}

// Finish implements Finisher.
func (e *Effects) Finish(ctx context.Context, conn *client.Client) error {
	for _, agent := range slices.Sorted(maps.Keys(e.used)) {
		for _, effect := range slices.Sorted(maps.Keys(e.used[agent])) {
			if err := e.journal(ctx, conn.Agent(agent), effect); err != nil {
				return err
			}
		}
	}
	return nil
}

// journal records what there is of an effect.
func (e *Effects) journal(ctx context.Context, a *client.Agent, effect string) error {
	op := e.recorder.Begin(history.Op{Kind: history.Journal, Agent: a.ID().Name, Effect: effect})
	defer e.recorder.End(op)
	is, err := a.ShowEffect(ctx, effect)
	if errors.Is(err, hawser.ErrNotFound) {
		op.Outcome = history.Failed
		return nil
	}
	if op.Outcome, op.Error = outcome(err); err != nil {
		return err
	}
	op.Value, op.Number, op.Key = endOf(is), uint64(is.Attempts), is.Key
	return nil
}

// Check implements Workload.
func (*Effects) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Effects(ops, final)}
}
