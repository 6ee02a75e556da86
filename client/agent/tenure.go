// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// tenure is the time in which this process owns the agent.
type tenure[S any] struct {
	*runner[S]

	claim   *client.Claim
	effects []hawser.Effect
	// quit ends the tenure.
	quit context.CancelCauseFunc
	// stopping is closed when Run's context ends.
	stopping <-chan struct{}
	// turns holds who changes the state: a step, or a transaction.
	turns *floor
	// inbox delivers messages, from the first one that a step waits for.
	inbox  chan delivery
	listen sync.Once
	tasks  sync.WaitGroup
	ctx    context.Context //nolint:containedctx // the ownership, with which its tasks end
	state  *S              // owned by who has the turn
	staged *S              // what the transaction that has the turn makes of it
	saving chan struct{}   // a semaphore of one: saves are in order
	// unsettled is the last save if nobody knows what became of it. It belongs to who holds
	// saving.
	unsettled *attempt[S]
	mu        sync.Mutex
	finished  finished // guarded by mu
}

// finished is what the steps up to now have come to and no save holds.
type finished struct {
	state []byte // encoded; nil when all is saved
	opts  []client.SaveOption
	load  load
	steps int
	since time.Time // of the last save
}

type delivery struct {
	message hawser.Message
	err     error
}

// Bounds of the time between two attempts of a save.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
)

// use restores the agent and does its steps, until the ownership ends, a step says
// so, or ctx ends; then all that is finished is saved.
func (r *runner[S]) use(ctx, owned context.Context, claim *client.Claim) error {
	found, err := r.restore(owned, claim)
	if err != nil {
		return err
	}
	owned, cancel := context.WithCancelCause(owned)
	t := &tenure[S]{
		runner: r, claim: claim, effects: found.effects, stopping: ctx.Done(), turns: newFloor(), inbox: make(chan delivery),
		ctx: owned, quit: cancel, state: found.state, saving: make(chan struct{}, 1), finished: finished{since: time.Now()},
	}
	defer t.tasks.Wait()
	defer cancel(nil)
	t.tasks.Go(func() { t.saveInTime(owned) })
	if r.cfg.Participant.Prepare != nil {
		t.tasks.Go(func() { cancel(t.participate(owned)) })
	}
	if err = t.steps(ctx, owned); err != nil {
		if owned.Err() != nil {
			return errors.Join(context.Cause(owned), err)
		}
		return err
	}
	last, done := context.WithTimeout(owned, releaseTime)
	defer done()
	return t.saveFinished(last)
}

// steps does steps until one says that it was the last, or ctx ends; what they have
// come to may not all be saved.
func (t *tenure[S]) steps(ctx, owned context.Context) error {
	for ctx.Err() == nil {
		done, err := t.doStep(ctx, owned)
		switch {
		case err != nil && ctx.Err() != nil && owned.Err() == nil:
			return nil // it was cut short
		case done || err != nil:
			return err
		}
	}
	return nil
}

// doStep does one step, and saves what it comes to if that is due.
func (t *tenure[S]) doStep(ctx, owned context.Context) (done bool, err error) {
	if err := t.turns.take(owned, ctx.Done(), stepper); err != nil {
		return false, err
	}
	defer t.turns.give(stepper)
	turn := &Turn[S]{State: t.state, tenure: t}
	stepping, cancel := context.WithCancel(owned)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if sleep(stepping, t.cfg.Grace) == nil {
			cancel()
		}
	})()
	t.vitals.beginStep()
	err = t.step(stepping, turn)
	t.vitals.endStep()
	if done = errors.Is(err, Done); err != nil && !done {
		return false, fmt.Errorf("agent %q: step: %w", t.cfg.Name, err)
	}
	t.state = turn.State
	if !t.carried().add(turn.load).fits() { // one save does not carry both
		if err := t.saveFinished(owned); err != nil {
			return false, err
		}
	}
	due, err := t.finish(turn)
	if err == nil && due && !done {
		err = t.saveFinished(owned)
	}
	return done, err
}

// finish notes what a step has come to, and reports whether it is to be saved now.
func (t *tenure[S]) finish(turn *Turn[S]) (due bool, err error) {
	data, err := t.encode(turn.State)
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &t.finished
	f.state, f.opts, f.load, f.steps = data, append(f.opts, turn.opts...), f.load.add(turn.load), f.steps+1
	return turn.urgent || f.steps >= t.cfg.Every || time.Since(f.since) >= t.cfg.Interval, nil
}

// carried is what the next save carries by now.
func (t *tenure[S]) carried() load {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.finished.load
}

func (t *tenure[S]) encode(state *S) ([]byte, error) {
	data, err := t.cfg.Codec.Encode(state)
	if err != nil {
		return nil, fmt.Errorf("agent %q: encode the state: %w", t.cfg.Name, err)
	}
	return data, nil
}

// saveInTime saves what is finished when it has waited for the interval.
func (t *tenure[S]) saveInTime(ctx context.Context) {
	for {
		t.mu.Lock()
		wait := time.Until(t.finished.since.Add(t.cfg.Interval))
		t.mu.Unlock()
		timer := time.NewTimer(max(wait, firstPause))
		select {
		case <-timer.C:
			if wait <= firstPause {
				// A failure that lasts is the next step's to report.
				_ = t.saveFinished(ctx)
			}
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// attempt is one save: the same state and options, however often it is sent.
type attempt[S any] struct {
	finished finished
	turn     *Turn[S] // whose options are part of it, nil for none
	state    []byte
	opts     []client.SaveOption
	// unknown: it was sent, and nobody knows what became of it.
	unknown bool
}

// saveFinished saves what steps have come to, if there is anything new.
func (t *tenure[S]) saveFinished(ctx context.Context) error {
	f, done, err := t.beginSave(ctx)
	if err != nil {
		return err
	}
	defer done()
	if f.state == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.finished.since = time.Now()
		return nil
	}
	_, err = t.save(ctx, &attempt[S]{finished: f, state: f.state, opts: f.opts})
	return err
}

// saveNow saves the state of a turn in the middle of its step.
func (t *tenure[S]) saveNow(ctx context.Context, turn *Turn[S]) (hawser.Version, error) {
	data, err := t.encode(turn.State)
	if err != nil {
		return hawser.Version{}, err
	}
	f, done, err := t.beginSave(ctx)
	if err != nil {
		return hawser.Version{}, err
	}
	defer done()
	return t.save(ctx, &attempt[S]{finished: f, turn: turn, state: data, opts: slices.Concat(f.opts, turn.opts)})
}

// beginSave waits for other saves, finds out what became of the last one if that is not
// known, and returns what is finished by then.
func (t *tenure[S]) beginSave(ctx context.Context) (f finished, done func(), err error) {
	select {
	case t.saving <- struct{}{}:
	case <-ctx.Done():
		return f, nil, context.Cause(ctx)
	}
	if t.unsettled != nil { // what it consumes is not to be consumed again
		if _, err := t.save(ctx, t.unsettled); err != nil {
			<-t.saving
			return f, nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.finished, func() { <-t.saving }, nil
}

// save saves until it is done, is known to fail for good, or ctx ends. One of which
// nobody knows what became of it then is to be repeated before there is another one.
func (t *tenure[S]) save(ctx context.Context, a *attempt[S]) (hawser.Version, error) {
	t.unsettled = nil
	common := []client.SaveOption{client.Schema(t.cfg.Schema), client.ContentType(t.cfg.Codec.ContentType())}
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		v, err := t.claim.Save(ctx, a.state, slices.Concat(a.opts, common)...)
		if err == nil {
			t.saved(a.finished, v)
			if a.turn != nil {
				a.turn.opts, a.turn.load, a.turn.urgent = nil, load{}, false
			}
			return v, nil
		}
		if unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err); ok {
			// The same save again: another one would consume and send once more.
			a.opts, a.unknown = append(slices.Clip(a.opts), client.WithRequestID(unknown.RequestID)), true
		} else if !passing(err) {
			if a.unknown && ctx.Err() != nil {
				t.unsettled = a
			}
			return v, err
		}
		t.tell(Event{Kind: SaveFailed, Err: err})
		if ended := sleep(ctx, pause/2+rand.N(pause)); ended != nil {
			if a.unknown {
				t.unsettled = a
			}
			return v, errors.Join(context.Cause(ctx), err)
		}
	}
}

// passing is for errors of the store that another attempt may not have.
func passing(err error) bool {
	return errors.Is(err, hawser.ErrTxnLocked) || errors.Is(err, hawser.ErrStorageFull) || errors.Is(err, hawser.ErrDeadline) ||
		hawser.CodeOf(err).Retry() != hawser.RetryNever
}

// saved notes that f is, beside which more may have been finished meanwhile.
func (t *tenure[S]) saved(f finished, v hawser.Version) {
	t.mu.Lock()
	now := &t.finished
	now.since = time.Now()
	now.opts, now.steps = now.opts[len(f.opts):], now.steps-f.steps
	now.load = now.load.add(load{-f.load.consumed, -f.load.emitted, -f.load.bytes})
	if now.steps == 0 {
		now.state = nil
	}
	t.mu.Unlock()
	t.tell(Event{Kind: Saved, Version: v.Number})
}

// message returns the next one of the inbox. Others may change the state meanwhile.
func (t *tenure[S]) message(ctx context.Context, turn *Turn[S]) (hawser.Message, error) {
	t.listen.Do(func() { t.tasks.Go(t.deliver) })
	select {
	case d := <-t.inbox:
		return d.message, d.err
	default:
	}
	t.turns.give(stepper)
	t.vitals.pause()
	d, err := t.delivery(ctx)
	t.vitals.resume()
	if turnErr := t.turns.take(t.ctx, nil, stepper); turnErr != nil { //nolint:contextcheck // the step goes on after its caller's context
		return d.message, errors.Join(err, turnErr)
	}
	if t.state != turn.State { // by a transaction
		turn.State = t.state
	}
	return d.message, errors.Join(err, d.err)
}

func (t *tenure[S]) delivery(ctx context.Context) (delivery, error) {
	select {
	case d := <-t.inbox:
		return d, nil
	case <-t.stopping:
		return delivery{}, ErrStopping
	case <-ctx.Done():
		return delivery{}, context.Cause(ctx)
	}
}

// deliver has the inbox delivered, one message at a time, until the ownership ends.
func (t *tenure[S]) deliver() {
	for m, err := range t.claim.Agent().Inbox(t.ctx) {
		select {
		case t.inbox <- delivery{m, err}:
		case <-t.ctx.Done():
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
