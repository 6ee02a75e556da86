// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/recovery"
	"github.com/hawserdb/hawser/hawsertest"
)

// patient is a subject that becomes well after some actions.
type patient struct {
	mu      sync.Mutex
	is      recovery.Evidence
	acts    []recovery.Action
	at      []time.Time
	healsAt int // the action after which it is well, 0 for never
	vetoes  bool
}

func (p *patient) Changed() <-chan struct{} { return nil }

func (p *patient) Observe(context.Context) (recovery.Evidence, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.is
	if p.vetoes {
		p.is = recovery.Evidence{Ready: true}
	}
	return e, nil
}

func (p *patient) Act(_ context.Context, a recovery.Action, _ agent.Decision) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts, p.at = append(p.acts, a), append(p.at, time.Now())
	if len(p.acts) == p.healsAt {
		p.is = recovery.Evidence{Ready: true}
	}
	return nil
}

func (p *patient) actions() []recovery.Action {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.acts)
}

func crashed(code int) recovery.Evidence {
	return recovery.Evidence{Exit: &recovery.Exit{Code: code}, Ready: true}
}

func supervise(t *testing.T, c *client.Client, name string, p *patient) (stop func() error, decisions func() []agent.Decision) {
	t.Helper()
	var mu sync.Mutex
	var list []agent.Decision
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- recovery.Supervise(ctx, recovery.Config{
			Agent: name, Client: c, Subject: p, Limits: recovery.Limits{IdleAfter: time.Second}, Attempts: 3,
			Pause: 50 * time.Millisecond, VerifyWithin: 300 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
			OnDecision: func(d agent.Decision) {
				mu.Lock()
				defer mu.Unlock()
				list = append(list, d)
			},
		})
	}()
	stop = sync.OnceValue(func() error {
		select {
		case err := <-done:
			cancel()
			return err
		case <-time.After(3 * time.Second):
		}
		cancel()
		return <-done
	})
	t.Cleanup(func() { cancel(); _ = stop() })
	return stop, func() []agent.Decision {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// Claim: a failure is met by its action, the outcome is looked for and recorded with
// the evidence; after some attempts in vain the agent is in quarantine, where a run
// leaves it alone until it is released.
func TestSupervise(t *testing.T) {
	c := hawsertest.Start(t)
	healed := &patient{is: crashed(2), healsAt: 2}
	stop, decisions := supervise(t, c, "healed", healed)
	deadline := time.Now().Add(10 * time.Second)
	for len(decisions()) < 4 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := healed.actions(); !slices.Equal(got, []recovery.Action{recovery.Restart, recovery.Restart}) {
		t.Errorf("actions %v", got)
	}
	if d := decisions(); len(d) != 4 || d[1].Outcome == "recovered" || d[3].Outcome != "recovered" || d[3].Attempt != 2 || d[3].Failure != "crash" {
		t.Errorf("decisions %+v", d)
	}
	records, err := agent.Records(t.Context(), c, "healed", 10)
	for len(records) < 4 && err == nil && time.Now().Before(deadline) { // the last one may be on its way
		records, err = agent.Records(t.Context(), c, "healed", 10)
	}
	if err != nil || len(records) != 4 || records[0].Last.Outcome != "recovered" || records[0].Quarantined {
		t.Errorf("records %+v, %v", records, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}

	hopeless := &patient{is: crashed(1)}
	stop, _ = supervise(t, c, "hopeless", hopeless)
	err = stop()
	var quarantined *agent.QuarantinedError
	if !errors.As(err, &quarantined) {
		t.Fatalf("ended with %v", err)
	}
	if got := hopeless.actions(); !slices.Equal(got, []recovery.Action{recovery.Restart, recovery.Restart, recovery.Restart, recovery.Stop}) {
		t.Errorf("actions %v", got)
	}
	cfg := agent.Config[int]{Name: "hopeless", Logger: slog.New(slog.DiscardHandler)}
	step := func(context.Context, *agent.Turn[int]) error { return agent.Done }
	if err := agent.Run(t.Context(), c, cfg, step); !errors.As(err, &quarantined) {
		t.Errorf("run in quarantine: %v", err)
	}
	if err := agent.Release(t.Context(), c, "hopeless", "me", "it is mended"); err != nil {
		t.Fatal(err)
	}
	if err := agent.Run(t.Context(), c, cfg, step); err != nil {
		t.Errorf("run after the release: %v", err)
	}
	if err := agent.Release(t.Context(), c, "hopeless", "me", "again"); err == nil {
		t.Error("released twice")
	}
}

// Claim: an agent that shows a sign of life is not killed; one that is done is left.
func TestSupervise_Vetoes(t *testing.T) {
	c := hawsertest.Start(t)
	alive := &patient{is: recovery.Evidence{Ready: true, Idle: time.Minute}, vetoes: true}
	stop, decisions := supervise(t, c, "alive", alive)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if d := decisions(); len(alive.actions()) != 0 || len(d) != 1 || d[0].Action != "none" {
		t.Errorf("actions %v, decisions %+v", alive.actions(), d)
	}
	done := &patient{is: crashed(0)}
	stop, _ = supervise(t, c, "done", done)
	if err := stop(); err != nil || len(done.actions()) != 0 {
		t.Errorf("actions %v, %v", done.actions(), err)
	}
}
