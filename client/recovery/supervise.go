// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
)

// Action is what is done about a failure.
type Action uint8

// The actions.
const (
	// Restart: start it again.
	Restart Action = iota + 1
	// RollBack: make the version before the newest one the newest, and start it again.
	RollBack
	// Redeploy: start the build before this one.
	Redeploy
	// Shed: start it with less to do, or with more memory.
	Shed
	// HandOver: have it save and end, so that who waits for the agent gets it, and
	// start it again behind them.
	HandOver
	// Stop: end it; the agent goes into quarantine.
	Stop
)

var actions = [...]string{"", "restart", "roll back", "redeploy", "shed", "hand over", "quarantine"}

// String returns the action in words.
func (a Action) String() string {
	if int(a) < len(actions) && a > 0 {
		return actions[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// For returns what is done about a kind of failure.
func For(f Failure) Action {
	switch f {
	case CorruptState:
		return RollBack
	case FailedDeployment:
		return Redeploy
	case ExhaustedResources:
		return Shed
	case Stuck:
		return HandOver
	case Forbidden:
		return Stop
	case None, Crash:
	}
	return Restart
}

// Subject is what runs an agent and can be told what to do. It is used by one
// goroutine.
type Subject interface {
	// Observe returns what is known now.
	Observe(ctx context.Context) (Evidence, error)
	// Changed signals that Observe may return something else; nil is never.
	Changed() <-chan struct{}
	// Act begins an action; whether it helps is observed.
	Act(ctx context.Context, action Action, d agent.Decision) error
}

// Config says what to supervise, and how.
type Config struct {
	// Agent is the name of the agent, Client where its records are kept. Required.
	Agent  string
	Client *client.Client
	// Subject runs it. Required.
	Subject Subject
	Limits  Limits
	// Attempts in a row are followed by quarantine; 0 is 5. An agent that has been well
	// for StableFor since the last one begins anew; 0 is 10 minutes.
	Attempts  int
	StableFor time.Duration
	// Pause is what passes before the second attempt, twice as long each time up to
	// MaxPause; 0 is 1 s and 1 minute. The first one is made at once.
	Pause, MaxPause time.Duration
	// VerifyWithin is how soon it must be well after an action; 0 is 30 s.
	VerifyWithin time.Duration
	// OnDecision is told of each decision, and again of its outcome; it must not block.
	OnDecision func(agent.Decision)
	// Logger takes the same; nil is slog.Default().
	Logger *slog.Logger
}

// observeEvery is how often a subject is observed that signals nothing; recordTime
// bounds the writing of a record.
const (
	observeEvery = 100 * time.Millisecond
	recordTime   = 2 * time.Second
)

func (c *Config) withDefaults() error {
	if c.Agent == "" || c.Client == nil || c.Subject == nil {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "supervise", Key: c.Agent, Msg: "it needs an agent, a client and a subject"}
	}
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	set(&c.StableFor, 10*time.Minute)
	set(&c.Pause, time.Second)
	set(&c.MaxPause, time.Minute)
	set(&c.VerifyWithin, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Supervise looks after an agent until it is done or ctx ends, and returns nil then;
// or until it is in quarantine: then it returns an *agent.QuarantinedError. The
// subject is not ended with ctx.
func Supervise(ctx context.Context, cfg Config) error {
	if err := cfg.withDefaults(); err != nil {
		return err
	}
	s := &supervisor{Config: cfg}
	for ctx.Err() == nil {
		kind, evidence, done, err := s.observe(ctx)
		switch {
		case err != nil:
			s.Logger.Warn("recovery: the agent cannot be observed", "agent", s.Agent, "error", err)
		case done:
			return nil
		case kind != None:
			if err := s.recover(ctx, kind, evidence); err != nil {
				return err
			}
			continue
		}
		s.wait(ctx, observeEvery)
	}
	return nil
}

type supervisor struct {
	Config

	// attempts counts those in a row, the last of which was over at rested.
	attempts int
	rested   time.Time
}

// observe returns what is wrong, and from what that is seen.
func (s *supervisor) observe(ctx context.Context) (kind Failure, evidence []string, done bool, err error) {
	e, err := s.Subject.Observe(ctx)
	if err != nil {
		return None, nil, false, err
	}
	kind, evidence = Classify(e, s.Limits)
	return kind, evidence, kind == None && e.Exit != nil, nil
}

// wait waits for a change, for so long at most.
func (s *supervisor) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.Subject.Changed():
	case <-ctx.Done():
	}
}

// recover does once what the kind of failure asks for. Its error is that of an agent
// in quarantine.
func (s *supervisor) recover(ctx context.Context, kind Failure, evidence []string) error {
	began := time.Now()
	attempt := s.count(began)
	defer func() { s.rested = time.Now() }()
	d := agent.Decision{At: began, By: s.Client.Instance(), Failure: kind.String(), Evidence: evidence, Attempt: attempt}
	action := For(kind)
	if attempt > s.Attempts {
		action = Stop
		d.Evidence = append(d.Evidence, fmt.Sprintf("%d attempts have not helped for %v", s.Attempts, s.StableFor))
	}
	d.Action = action.String()
	if action == Stop {
		return s.quarantine(ctx, kind, d)
	}
	if attempt > 1 {
		s.rest(ctx, min(s.Pause<<min(attempt-2, 20), s.MaxPause))
	}
	if kind == Stuck && s.lives(ctx) {
		d.Action, d.Outcome = "none", "it has shown a sign of life"
		s.attempts--
		s.tell(ctx, agent.Record{Last: d})
		return nil
	}
	if ctx.Err() == nil {
		s.act(ctx, action, d)
	}
	return nil
}

// lives reports whether the agent shows a sign of life, which vetoes its end.
func (s *supervisor) lives(ctx context.Context) bool {
	kind, _, _, err := s.observe(ctx)
	return err != nil || kind == None
}

// act does something about a failure and waits for what comes of it.
func (s *supervisor) act(ctx context.Context, action Action, d agent.Decision) {
	err := s.Subject.Act(ctx, action, d)
	s.tell(ctx, agent.Record{Last: d})
	if err == nil {
		d.Outcome = s.verify(ctx)
	} else {
		d.Outcome = "failed: " + err.Error()
	}
	d.Took = time.Since(d.At)
	s.tell(ctx, agent.Record{Last: d})
}

// count counts this attempt with those before it, unless the agent was well for long.
func (s *supervisor) count(now time.Time) int {
	if now.Sub(s.rested) >= s.StableFor {
		s.attempts = 0
	}
	s.attempts++
	return s.attempts
}

// rest waits, whatever changes meanwhile.
func (s *supervisor) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// verify waits until the agent is well, and says what came of it.
func (s *supervisor) verify(ctx context.Context) string {
	until := time.Now().Add(s.VerifyWithin)
	for time.Now().Before(until) && ctx.Err() == nil {
		e, err := s.Subject.Observe(ctx)
		if err == nil {
			kind, evidence := Classify(e, s.Limits)
			switch {
			case kind != None:
				return "failed: " + kind.String() + ": " + strings.Join(evidence, "; ")
			case e.Ready || e.Exit != nil:
				return "recovered"
			}
		}
		s.wait(ctx, observeEvery)
	}
	if ctx.Err() != nil {
		return "not known: the supervisor has ended"
	}
	return fmt.Sprintf("failed: it is not ready after %v", s.VerifyWithin)
}

// quarantine ends the agent and has nobody run it.
func (s *supervisor) quarantine(ctx context.Context, kind Failure, d agent.Decision) error {
	err := s.Subject.Act(ctx, Stop, d)
	if d.Outcome = "nobody is to run it"; err != nil {
		d.Outcome += "; it could not be ended: " + err.Error()
	}
	r := agent.Record{Quarantined: true, Reason: d.Failure + ": " + strings.Join(d.Evidence, "; "), Last: d}
	if kind == Forbidden { // it is in quarantine already, and keeps its reason
		if kept, err := agent.ReadRecord(ctx, s.Client, s.Agent); err == nil && kept.Quarantined {
			return &agent.QuarantinedError{Agent: s.Agent, Record: kept}
		}
	}
	s.tell(ctx, r)
	return &agent.QuarantinedError{Agent: s.Agent, Record: r}
}

// tell records a decision. That it cannot be recorded does not hold up a recovery.
func (s *supervisor) tell(ctx context.Context, r agent.Record) {
	d := r.Last
	s.Logger.Warn("recovery", "agent", s.Agent, "failure", d.Failure, "evidence", d.Evidence, "action", d.Action, "attempt", d.Attempt, "outcome", d.Outcome)
	if s.OnDecision != nil {
		s.OnDecision(d)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	if err := agent.WriteRecord(ctx, s.Client, s.Agent, r); err != nil {
		s.Logger.Warn("recovery: the decision is not recorded", "agent", s.Agent, "error", err)
	}
}
