// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Done is what a step returns that was the agent's last. What the step made of the
// state is saved.
var Done = errors.New("the agent is done") //nolint:errname,staticcheck // it is no failure, as io.EOF is none

// Step is what an agent does over and over. It changes the state of its turn, and
// returns nil, [Done], or an error, which ends [Run]; what it has done to the state
// is then dropped. One step runs at a time. It ends soon when its context does.
type Step[S any] func(ctx context.Context, t *Turn[S]) error

// Config describes an agent.
type Config[S any] struct {
	// Name of the agent. Required.
	Name string
	// New returns the state of an agent that has no version; nil is the zero value.
	New func() *S
	// Check returns an error for a state with which the agent must not go on.
	Check func(*S) error
	// Codec makes bytes of states; nil is [JSON].
	Codec Codec
	// Schema is recorded with each version, Migrations lead from older ones to it.
	Schema     string
	Migrations []Migration

	// Every is after how many steps the state is saved; 0 is 1, after each.
	Every int
	// Interval is after how long it is saved at the latest, if there is something
	// new; 0 is 5 minutes. A step need not end for that: what the ones before it
	// came to is saved.
	Interval time.Duration
	// TTL is how long the ownership outlives this process; 0 is hawser.DefaultTTL.
	TTL time.Duration
	// Priority puts this instance before others that wait.
	Priority int32
	// Grace is how long a step may go on once Run's context has ended; 0 is 5
	// seconds.
	Grace time.Duration

	// StepLimit is how long a step may take, without its waits for messages, until
	// [HealthHandler] says that the agent has a problem; 0 is for ever.
	StepLimit time.Duration

	// Participant takes part in transactions; its zero value in none.
	Participant Participant[S]

	// OnEvent is told what happens, one event at a time; it must not block.
	OnEvent func(Event)
	// Logger takes the same; nil is slog.Default().
	Logger *slog.Logger
}

const (
	defaultInterval = 5 * time.Minute
	defaultGrace    = 5 * time.Second
	// releaseTime bounds the last save and the release of the ownership.
	releaseTime = 10 * time.Second
)

func (c *Config[S]) withDefaults() error {
	if c.New == nil {
		c.New = func() *S { return new(S) }
	}
	if c.Codec == nil {
		c.Codec = JSON
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Every == 0 {
		c.Every = 1
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.TTL == 0 {
		c.TTL = hawser.DefaultTTL
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Every < 0 || c.Interval < 0 || c.Grace < 0 {
		return &hawser.Error{
			Code: hawser.CodeInvalid, Op: "run", Key: c.Name,
			Msg: fmt.Sprintf("every %d steps, interval %v and grace %v must not be negative", c.Every, c.Interval, c.Grace),
		}
	}
	for i, m := range c.Migrations {
		if m.Migrate == nil || m.From == m.To {
			return &hawser.Error{Code: hawser.CodeInvalid, Op: "run", Key: c.Name, Msg: fmt.Sprintf("migration %d, from schema %q to %q, leads nowhere", i, m.From, m.To)}
		}
	}
	return nil
}

// Run runs an agent: it waits until this process owns it, restores its state, and
// does one step after the other. It returns nil when a step has returned [Done],
// and when ctx has ended and what was done is saved. It goes on through the loss of
// the ownership, and through errors of the store that pass (hawser.ErrUnavailable,
// ErrOverloaded, ErrDeadline and others), also those that a step returns: it waits for
// the ownership again, and goes on from what was saved last.
//
// Errors: that of a step; *SchemaError; *QuarantinedError; one that matches hawser.ErrCorrupt when the
// agent has versions and none is good; that of a save that no repeat can heal, such
// as hawser.ErrTooLarge. The agent is then free for another instance.
func Run[S any](ctx context.Context, c *client.Client, cfg Config[S], step Step[S]) error {
	return run(ctx, c, cfg, step, nil)
}

// run is Run, or, with a claim, runs the agent under that: until it is lost, and
// without giving it back.
func run[S any](ctx context.Context, c *client.Client, cfg Config[S], step Step[S], claim *client.Claim) (err error) {
	if step == nil {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "run", Key: cfg.Name, Msg: "it needs a step"}
	}
	if err := cfg.withDefaults(); err != nil {
		return err
	}
	r := &runner[S]{cfg: &cfg, client: c, step: step, claim: claim}
	vitals, discharge := admit(cfg.Name, cfg.StepLimit)
	defer discharge()
	r.vitals = vitals
	defer func() { r.tell(Event{Kind: Ended, Err: err}) }()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		began := time.Now()
		err := r.own(ctx)
		switch {
		case err == nil:
			return nil
		case !lost(err) && !passing(err):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("agent %q: stopped, and what it did last is not saved: %w", cfg.Name, err)
		}
		r.tell(Event{Kind: Lost, Err: err})
		if claim != nil && over(claim, err) {
			return err
		}
		if time.Since(began) > maxPause {
			pause = firstPause
		}
		_ = sleep(ctx, pause) // then own says so
	}
}

// lost is for the errors of one who has lost the ownership, or whose state is not
// that of the cluster any more: it is to restore the agent anew.
func lost(err error) bool {
	for _, code := range []error{
		hawser.ErrOwnershipLost, hawser.ErrFenced, hawser.ErrConflict, hawser.ErrRequestExpired, hawser.ErrWrongGeneration, hawser.ErrMessageGone,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// over reports whether nothing can be done under a claim any more.
func over(claim *client.Claim, err error) bool {
	return claim.Err() != nil || errors.Is(err, hawser.ErrFenced)
}

type runner[S any] struct {
	cfg    *Config[S]
	client *client.Client
	step   Step[S]
	// claim is the one that it was given, nil for none: then it waits for one.
	claim  *client.Claim
	vitals *vitals
}

func (r *runner[S]) tell(e Event) {
	e.Agent, e.At = r.cfg.Name, time.Now()
	r.vitals.note(e)
	attrs := []any{"agent", e.Agent}
	if e.Version != 0 {
		attrs = append(attrs, "version", e.Version)
	}
	if e.Err != nil {
		attrs = append(attrs, "error", e.Err)
	}
	r.cfg.Logger.Log(context.Background(), e.Kind.level(), "agent: "+e.Kind.String(), attrs...) //nolint:sloglint // the kinds are few
	if r.cfg.OnEvent != nil {
		r.cfg.OnEvent(e)
	}
}

// own waits for the ownership and uses it until it is lost, the agent is done, or
// ctx ends.
func (r *runner[S]) own(ctx context.Context) (err error) {
	claim := r.claim
	if claim == nil {
		claim, err = r.wait(ctx)
	}
	if err == nil {
		if err = r.allowed(ctx); err != nil {
			r.release(ctx, claim)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil //nolint:nilerr // stopped, and there is nothing to save
	case err != nil:
		return err
	}
	r.tell(Event{Kind: Owned})
	// The ownership outlives ctx: the last save needs it.
	err = claim.Do(context.WithoutCancel(ctx), func(owned context.Context) error { return r.use(ctx, owned, claim) })
	if gone := claim.Err(); gone != nil && err != nil {
		return errors.Join(gone, err)
	}
	r.release(ctx, claim)
	return err
}

// allowed returns an error if the agent is in quarantine.
func (r *runner[S]) allowed(ctx context.Context) error {
	record, err := ReadRecord(ctx, r.client, r.cfg.Name)
	if err == nil && record.Quarantined {
		err = &QuarantinedError{Agent: r.cfg.Name, Record: record}
	}
	return err
}

// release gives back a claim that it was not given.
func (r *runner[S]) release(ctx context.Context, claim *client.Claim) {
	if r.claim != nil {
		return
	}
	giveBack(ctx, claim)
}

func giveBack(ctx context.Context, claim *client.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	// If it cannot be released it ends with its time to live.
	_ = claim.Release(ctx)
}

// wait waits until the agent is this process's, and keeps up with its state until
// then.
func (r *runner[S]) wait(ctx context.Context) (*client.Claim, error) {
	r.tell(Event{Kind: Waiting})
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		r.follow(following)
	}()
	defer func() {
		stop()
		<-followed
	}()
	return r.client.Agent(r.cfg.Name).Claim(ctx, client.TTL(r.cfg.TTL), client.Priority(r.cfg.Priority))
}

// follow keeps up with the agent until ctx ends. It is a help only: what is not here
// at the grant is fetched then.
func (r *runner[S]) follow(ctx context.Context) {
	for _, err := range r.client.Agent(r.cfg.Name).Follow(ctx) {
		if err != nil {
			return
		}
	}
}
