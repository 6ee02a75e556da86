// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// EffectOption adjusts one [Agent.Effect] or [Agent.BeginEffect].
type EffectOption interface{ applyEffect(o *effectOptions) }

type effectOptions struct {
	writeOptions
	description string
	input       hawser.Hash
}

type effectOption func(o *effectOptions)

func (f effectOption) applyEffect(o *effectOptions) { f(o) }

// EffectDescription says what the effect is, to people who look at the journal.
func EffectDescription(text string) EffectOption {
	return effectOption(func(o *effectOptions) { o.description = text })
}

// EffectInput says what the call is made with. The journal keeps its SHA-256, and
// refuses the id with hawser.ErrRequestMismatch when it comes with another input:
// a result that belongs to another call is then not taken for this one's.
func EffectInput(input []byte) EffectOption {
	return effectOption(func(o *effectOptions) { o.input = sha256.Sum256(input) })
}

// EffectDone records with a save that an effect has run, and its result: both
// are there or neither. The save is refused with hawser.ErrNotFound if nobody has
// begun it, and with hawser.ErrRequestMismatch if it ended otherwise. The results
// of one save may have hawser.MaxEffectResult bytes together.
func EffectDone(id string, result []byte) SaveOption {
	end := &hawserv1.EffectEnd{Id: id, Result: slices.Clone(result)}
	return saveOption(func(o *saveOptions) { o.effects = append(o.effects, end) })
}

// EffectFailed records with a save that an effect is known not to have happened.
func EffectFailed(id, reason string) SaveOption {
	end := &hawserv1.EffectEnd{Id: id, Failed: true, Reason: reason}
	return saveOption(func(o *saveOptions) { o.effects = append(o.effects, end) })
}

// notDoneError is an error of a call that is known not to have happened.
type notDoneError struct{ error }

func (n notDoneError) Unwrap() error { return n.error }

// NotDone marks the error of a function under [Agent.Effect] as one that is known
// to have changed nothing outside: the effect is then recorded as failed. Nil
// stays nil.
func NotDone(err error) error {
	if err == nil {
		return nil
	}
	return notDoneError{err}
}

// Effect runs a call to the world outside as an effect of the agent: what is
// begun under this id is run by one who is told so, and its result is recorded.
// Called again, by whomever and after whatever rollback, it returns the recorded
// result and runs nothing. Run gets the effect's key, which the other side is to
// recognise a second call by, for there may be one: see docs/effects.md for what
// is promised, and what is not.
//
// An effect that was begun and of which nobody knows whether it has run is
// treated as policy says: hawser.OnUnknownRetry runs it again, with the same key;
// hawser.OnUnknownAsk returns a *hawser.UnknownEffectError; hawser.OnUnknownSkip
// one that matches hawser.ErrEffectSkipped. One that failed is a
// *hawser.FailedEffectError.
//
// When run returns an error, the effect stays open, because nobody can tell
// whether it has happened, unless the error is marked by [NotDone]. When the
// result cannot be recorded it is returned, with the error that says so.
//
// In one client, calls for the same effect wait for each other.
func (a *Agent) Effect(
	ctx context.Context, id string, policy hawser.EffectPolicy, run func(ctx context.Context, key string) ([]byte, error), opts ...EffectOption,
) ([]byte, error) {
	leave, err := a.client.effects.enter(ctx, a.id.String()+" "+id)
	if err != nil {
		return nil, notStarted("effect", a.id.String()+" "+id, err)
	}
	defer leave()
	e, may, err := a.BeginEffect(ctx, id, policy, opts...)
	if err != nil {
		return nil, err
	}
	if !may {
		return known(e, policy)
	}
	result, err := run(ctx, e.Key)
	// What has happened is recorded, though the caller may not wait for it.
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.client.cfg.RequestTimeout)
	defer cancel()
	fence := effectOptionsOf(opts).fence
	var failed notDoneError
	switch {
	case errors.As(err, &failed):
		_, recordErr := a.finishEffect(recording, &hawserv1.EffectEnd{Id: id, Failed: true, Reason: reasonOf(failed.error)}, fence)
		return nil, errors.Join(err, recordErr)
	case err != nil:
		return nil, err
	}
	if _, err := a.finishEffect(recording, &hawserv1.EffectEnd{Id: id, Result: result}, fence); err != nil {
		return result, fmt.Errorf("effect %q has run, and its result is not recorded: %w", id, err)
	}
	return result, nil
}

// known is what is returned of an effect that is not run.
func known(e hawser.Effect, policy hawser.EffectPolicy) ([]byte, error) {
	switch e.State {
	case hawser.EffectDone:
		return e.Result, nil
	case hawser.EffectFailed:
		return nil, &hawser.FailedEffectError{Effect: e}
	case hawser.EffectOpen, hawser.EffectRetry:
	}
	return nil, &hawser.UnknownEffectError{Effect: e, Skipped: policy == hawser.OnUnknownSkip}
}

// BeginEffect is the first half of [Agent.Effect], for those who record the end
// together with a save: see [EffectDone]. If it returns true the caller may run
// the effect, with its key, and nobody else was told so. Else the effect says what
// is known: its result, or that it is unknown.
func (a *Agent) BeginEffect(ctx context.Context, id string, policy hawser.EffectPolicy, opts ...EffectOption) (e hawser.Effect, run bool, err error) {
	if err := a.checkEffect(id); err != nil {
		return e, false, err
	}
	o := effectOptionsOf(opts)
	nonce := hawser.NewNonce()
	req := &hawserv1.BeginEffectRequest{
		Agent: wire.AgentToProto(a.id), Id: id, Nonce: nonce[:], Policy: hawserv1.EffectPolicy(policy), Description: o.description,
		Instance: a.client.cfg.Instance, Fence: o.fence, Generation: a.client.generation.Load(),
	}
	if o.input != (hawser.Hash{}) {
		req.Input = o.input[:]
	}
	err = a.client.do(ctx, a.effectCall("begin effect", id, func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		resp, err := hawserv1.NewEffectsClient(s.conn).BeginEffect(ctx, req, s.options...)
		if err == nil {
			e, run = wire.EffectFromProto(resp.GetEffect()), resp.GetRun()
		}
		return resp.GetHeader(), err
	}))
	return e, run, err
}

// FinishEffect records that an effect has run, on its own. Repeating it is
// harmless.
func (a *Agent) FinishEffect(ctx context.Context, id string, result []byte, opts ...EffectOption) (hawser.Effect, error) {
	return a.finishEffect(ctx, &hawserv1.EffectEnd{Id: id, Result: result}, effectOptionsOf(opts).fence)
}

// FailEffect records that an effect is known not to have happened.
func (a *Agent) FailEffect(ctx context.Context, id, reason string, opts ...EffectOption) (hawser.Effect, error) {
	return a.finishEffect(ctx, &hawserv1.EffectEnd{Id: id, Failed: true, Reason: reason}, effectOptionsOf(opts).fence)
}

func (a *Agent) finishEffect(ctx context.Context, end *hawserv1.EffectEnd, fence uint64) (e hawser.Effect, err error) {
	if err := a.checkEffect(end.GetId()); err != nil {
		return e, err
	}
	if err := checkEnds(a.id, []*hawserv1.EffectEnd{end}); err != nil {
		return e, err
	}
	req := &hawserv1.FinishEffectRequest{Agent: wire.AgentToProto(a.id), End: end, Fence: fence, Generation: a.client.generation.Load()}
	err = a.client.do(ctx, a.effectCall("finish effect", end.GetId(), func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		resp, err := hawserv1.NewEffectsClient(s.conn).FinishEffect(ctx, req, s.options...)
		e = wire.EffectFromProto(resp.GetEffect())
		return resp.GetHeader(), err
	}))
	return e, err
}

// Resolution is what somebody has found out of an effect that was unknown.
type Resolution struct {
	// State is hawser.EffectDone, hawser.EffectFailed, or hawser.EffectRetry: it
	// did not happen, and the next one that begins it runs it.
	State hawser.EffectState
	// Result is what it would have returned, of one that is done.
	Result []byte
	// Reason says how it was found out; it is kept, and told in an event.
	Reason string
	// Force does it although the one that began it still owns the agent, and
	// may be running it.
	Force bool
}

// ResolveEffect says how an effect ended, in the place of whoever has begun it.
// It needs no claim. Refused with hawser.ErrRefused: an effect that is done, and
// one whose beginner still owns the agent.
func (a *Agent) ResolveEffect(ctx context.Context, id string, r Resolution) (e hawser.Effect, err error) {
	if err := a.checkEffect(id); err != nil {
		return e, err
	}
	req := &hawserv1.ResolveEffectRequest{
		Agent: wire.AgentToProto(a.id), Id: id, State: hawserv1.EffectState(r.State), Result: r.Result, Reason: r.Reason, Force: r.Force,
	}
	err = a.client.do(ctx, a.effectCall("resolve effect", id, func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		resp, err := hawserv1.NewEffectsClient(s.conn).ResolveEffect(ctx, req, s.options...)
		e = wire.EffectFromProto(resp.GetEffect())
		return resp.GetHeader(), err
	}))
	return e, err
}

// ForgetEffects removes from the journal what ended up to a version, and returns
// how many that were. Begun again, they are new: forget what no version that
// anybody goes back to will ask for. What is open, was rolled back, or is
// inherited by a fork stays.
func (a *Agent) ForgetEffects(ctx context.Context, version uint64, opts ...EffectOption) (forgotten uint64, err error) {
	if a.err != nil {
		return 0, a.err
	}
	if err := checkNumber("forget effects", a.id, version); err != nil {
		return 0, err
	}
	req := &hawserv1.ForgetEffectsRequest{Agent: wire.AgentToProto(a.id), Version: version, Fence: effectOptionsOf(opts).fence, Generation: a.client.generation.Load()}
	for more := true; more; {
		var resp *hawserv1.ForgetEffectsResponse
		err := a.client.do(ctx, a.effectCall("forget effects", "", func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewEffectsClient(s.conn).ForgetEffects(ctx, req, s.options...)
			return resp.GetHeader(), err
		}))
		if err != nil {
			return forgotten, err
		}
		forgotten, more = forgotten+resp.GetForgotten(), resp.GetMore()
	}
	return forgotten, nil
}

// Effects lists the agent's effects in the order of their ids, without results.
// It pages as [Agent.Versions] does.
func (a *Agent) Effects(ctx context.Context, opts ...ListOption) iter.Seq2[hawser.Effect, error] {
	if a.err != nil {
		return failed[hawser.Effect](a.err)
	}
	o := listOptions(opts)
	return list(o.limit, func(limit uint32, token string) ([]hawser.Effect, string, error) {
		req := &hawserv1.ListEffectsRequest{Agent: wire.AgentToProto(a.id), Limit: limit, PageToken: token, Read: o.proto()}
		var resp *hawserv1.ListEffectsResponse
		err := a.client.do(ctx, &call{
			op: "effects", key: a.id.String(), leader: !o.stale,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				var err error
				resp, err = hawserv1.NewEffectsClient(s.conn).ListEffects(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetEffects(), wire.EffectFromProto), resp.GetNextPageToken(), err
	})
}

// ShowEffect describes one effect, with its result. hawser.ErrNotFound means that
// nobody has begun it, or that it was forgotten.
func (a *Agent) ShowEffect(ctx context.Context, id string) (e hawser.Effect, err error) {
	if err := a.checkEffect(id); err != nil {
		return e, err
	}
	req := &hawserv1.ShowEffectRequest{Agent: wire.AgentToProto(a.id), Id: id}
	err = a.client.do(ctx, &call{
		op: "effect", key: a.id.String() + " " + id, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewEffectsClient(s.conn).ShowEffect(ctx, req, s.options...)
			e = wire.EffectFromProto(resp.GetEffect())
			return resp.GetHeader(), err
		},
	})
	return e, err
}

func (a *Agent) effectCall(op, id string, send func(context.Context, sending) (*hawserv1.Header, error)) *call {
	key := a.id.String()
	if id != "" {
		key += " " + id
	}
	return &call{op: op, key: key, write: true, harmless: true, leader: true, bytes: hawser.MaxEffectResult, send: send}
}

func (a *Agent) checkEffect(id string) error {
	if a.err != nil {
		return a.err
	}
	return hawser.CheckEffectID(id)
}

// checkEnds refuses what no node would take, without a round trip.
func checkEnds(agent hawser.AgentID, ends []*hawserv1.EffectEnd) error {
	size := 0
	for _, end := range ends {
		if err := hawser.CheckEffectID(end.GetId()); err != nil {
			return err
		}
		size += len(end.GetResult()) + len(end.GetReason())
	}
	switch {
	case len(ends) > hawser.MaxEffectsPerSave:
		return &hawser.Error{
			Code: hawser.CodeInvalid, Op: "finish effects", Key: agent.String(), Msg: fmt.Sprintf("%d of them, the limit is %d", len(ends), hawser.MaxEffectsPerSave),
		}
	case size > hawser.MaxEffectResult:
		return &hawser.Error{
			Code: hawser.CodeTooLarge, Op: "finish effects", Key: agent.String(), Msg: fmt.Sprintf("results of %d bytes, the limit is %d", size, hawser.MaxEffectResult),
		}
	}
	return nil
}

func effectOptionsOf(opts []EffectOption) (o effectOptions) {
	for _, opt := range opts {
		opt.applyEffect(&o)
	}
	return o
}

// Effect is [Agent.Effect] under the claim. The context of run ends when the claim
// can no longer be counted on. A result that comes after that cannot be recorded:
// the effect is unknown to the next owner.
func (c *Claim) Effect(
	ctx context.Context, id string, policy hawser.EffectPolicy, run func(ctx context.Context, key string) ([]byte, error), opts ...EffectOption,
) (result []byte, err error) {
	opts = append(slices.Clip(opts), WithFence(c.grant.GetToken()))
	doErr := c.Do(ctx, func(ctx context.Context) error {
		result, err = c.agent.Effect(ctx, id, policy, run, opts...)
		return err
	})
	return result, doErr
}

// BeginEffect is [Agent.BeginEffect] under the claim. It does not start once the
// claim can no longer be counted on.
func (c *Claim) BeginEffect(ctx context.Context, id string, policy hawser.EffectPolicy, opts ...EffectOption) (hawser.Effect, bool, error) {
	if err := c.check(); err != nil {
		return hawser.Effect{}, false, err
	}
	return c.agent.BeginEffect(ctx, id, policy, append(slices.Clip(opts), WithFence(c.grant.GetToken()))...)
}

// FinishEffect is [Agent.FinishEffect] under the claim.
func (c *Claim) FinishEffect(ctx context.Context, id string, result []byte) (hawser.Effect, error) {
	if err := c.check(); err != nil {
		return hawser.Effect{}, err
	}
	return c.agent.FinishEffect(ctx, id, result, WithFence(c.grant.GetToken()))
}

// FailEffect is [Agent.FailEffect] under the claim.
func (c *Claim) FailEffect(ctx context.Context, id, reason string) (hawser.Effect, error) {
	if err := c.check(); err != nil {
		return hawser.Effect{}, err
	}
	return c.agent.FailEffect(ctx, id, reason, WithFence(c.grant.GetToken()))
}

// ForgetEffects is [Agent.ForgetEffects] under the claim.
func (c *Claim) ForgetEffects(ctx context.Context, version uint64) (uint64, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	return c.agent.ForgetEffects(ctx, version, WithFence(c.grant.GetToken()))
}

// effectGate lets one call for an effect run at a time.
type effectGate struct {
	mu sync.Mutex
	// running is closed when the call for the effect has ended.
	running map[string]chan struct{} // guarded by mu
}

// enter waits for the effect's turn; leave ends it.
func (g *effectGate) enter(ctx context.Context, effect string) (leave func(), err error) {
	for {
		g.mu.Lock()
		other, busy := g.running[effect]
		if !busy {
			if g.running == nil {
				g.running = make(map[string]chan struct{})
			}
			ended := make(chan struct{})
			g.running[effect] = ended
			g.mu.Unlock()
			return func() {
				g.mu.Lock()
				delete(g.running, effect)
				g.mu.Unlock()
				close(ended)
			}, nil
		}
		g.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
