// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Pool describes this process's part of a fleet: of processes that run the agents
// of one prefix together.
type Pool[S any] struct {
	// Prefix is that of the agents' names: all that exist below it are run. Required.
	Prefix string
	// Max is how many agents this process runs at most; 0 is as many as its part is.
	// It never runs more than 9,500.
	Max int
	// New describes an agent by its name, and what it does. Its Name, TTL and Priority
	// are the pool's. Required.
	New func(name string) (Config[S], Step[S])
	// TTL is how soon the others notice that this process is gone and run its
	// agents, 0 is hawser.DefaultTTL.
	TTL time.Duration
	// OnError is told of an agent whose Run has failed; it is run again 1 s later, and
	// later each time, up to a minute. It must not block.
	OnError func(name string, err error)
	// Logger takes the same; nil is slog.Default().
	Logger *slog.Logger
}

const (
	// lookEvery is how often a member looks whether it has its part. A change of the
	// members is told at once; while it has too few agents it looks again after
	// lookSoon, and longer each time.
	lookEvery, lookSoon = 2 * time.Second, 50 * time.Millisecond
	// tidyEvery is how often it looks whether what it holds is still to be run.
	tidyEvery = 30 * time.Second
	// firstRetry is the pause after the first failure of an agent, maxRetry the
	// longest.
	firstRetry, maxRetry = time.Second, time.Minute
	// maxStarting is how many agents are restored at a time.
	maxStarting = 64
)

// RunPool runs this process's part of the agents until ctx ends; then it saves and
// gives back each, and returns nil. The members of a pool know of each other by
// locks. All have equal parts: one that has too few agents claims whichever are free,
// one that has too many gives some up, each after the step that it does. So a member
// that comes gets its part, and when one dies its agents run elsewhere a time to live
// later. All that a process runs it holds under one lease: when that is lost, which
// takes that none of its renewals was confirmed for a time to live, it has to
// restore all of them. That one agent is not run by two is ensured by its claim, as
// with [Run].
//
// An agent that is done stays with its member, which does not run it again, until
// somebody waits for it or it is deleted, which is noticed within half a minute.
//
// Instances of the client (client.Config.Instance) must have different names.
func RunPool[S any](ctx context.Context, c *client.Client, p Pool[S]) error {
	if p.New == nil || p.Prefix == "" || p.Max < 0 {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "run pool", Key: p.Prefix, Msg: "it needs a prefix, New, and a Max that is not negative"}
	}
	if p.TTL == 0 {
		p.TTL = hawser.DefaultTTL
	}
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	f := &fleet[S]{Pool: p, client: c, starting: make(chan struct{}, maxStarting)}
	for ctx.Err() == nil {
		err := f.serve(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && hopeless(err):
			return err
		case err != nil:
			f.Logger.Warn("pool: this process runs none of its agents", "prefix", f.Prefix, "error", err)
			_ = sleep(ctx, firstRetry)
		}
	}
	return nil
}

// hopeless is for errors that no repeat can heal.
func hopeless(err error) bool {
	return !lost(err) && !passing(err) && !errors.Is(err, hawser.ErrLeaseExpired)
}

// fleet is a pool while it runs.
type fleet[S any] struct {
	Pool[S]

	client *client.Client
	// starting bounds the agents that begin at a time.
	starting chan struct{}
}

// serve runs agents under one lease, until that is lost or ctx ends.
func (f *fleet[S]) serve(ctx context.Context) error {
	lease, err := f.client.OpenLease(ctx, f.TTL)
	if err != nil {
		return err
	}
	w := &watchman[S]{
		fleet: f, lease: lease, running: map[string]*member{}, changed: make(chan struct{}, 1), pause: lookSoon, tidied: time.Now(),
	}
	err = w.run(ctx)
	if lease.Err() == nil {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		_ = lease.Release(releasing) // else it ends with its time to live
		return err
	}
	return lease.Err()
}

// roll is where the members of a pool have their locks.
func (f *fleet[S]) roll() string { return "pool/" + f.Prefix }

// seats returns the members.
func (f *fleet[S]) seats(ctx context.Context) (seats []seat, err error) {
	seen := map[string]bool{}
	for h, err := range f.client.Holdings(ctx, hawser.ResourceLock, f.roll()) {
		if err != nil {
			return nil, err
		}
		segment, ok := strings.CutPrefix(h.Resource.Name.Name, f.roll()+"/")
		limit, _, split := strings.Cut(segment, "-")
		n, err := strconv.Atoi(limit)
		if !ok || !split || err != nil || len(h.Holders) == 0 || seen[h.Holders[0].Instance] {
			continue
		}
		seen[h.Holders[0].Instance] = true
		seats = append(seats, seat{h.Holders[0].Instance, n})
	}
	return seats, nil
}

// member is an agent that is run here, or kept.
type member struct {
	claim *client.Claim
	since time.Time
	stop  context.CancelFunc
	// stopped: it was told to stop. It belongs to the loop.
	stopped bool
	// idle is closed when the agent is done, done when it is given back.
	idle, done chan struct{}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// tend runs an agent that was claimed, again and again while it fails, until ctx
// ends or the claim is lost, and gives it back.
func (f *fleet[S]) tend(ctx context.Context, m *member) {
	defer close(m.done)
	defer giveBack(ctx, m.claim)
	defer m.stop()
	name := m.claim.Agent().ID().Name
	for failures := 0; ; failures++ {
		began := time.Now()
		err := f.runOne(ctx, name, m.claim)
		if ctx.Err() != nil || over(m.claim, err) {
			return
		}
		if err == nil {
			close(m.idle)
			wait(ctx, m.claim, nil)
			return
		}
		if time.Since(began) > maxRetry {
			failures = 0
		}
		f.Logger.Warn("pool: an agent has failed", "agent", name, "failures", failures, "error", err)
		if f.OnError != nil {
			f.OnError(name, err)
		}
		if !wait(ctx, m.claim, time.After(min(firstRetry<<min(failures, 10), maxRetry))) {
			return
		}
	}
}

// wait waits for a time, and reports whether it came before the end of ctx or the
// claim.
func wait(ctx context.Context, claim *client.Claim, until <-chan time.Time) bool {
	select {
	case <-until:
		return true
	case <-claim.Done():
	case <-ctx.Done():
	}
	return false
}

func (f *fleet[S]) runOne(ctx context.Context, name string, claim *client.Claim) error {
	cfg, step := f.New(name)
	cfg.Name, cfg.TTL = name, f.TTL
	if step == nil {
		return fmt.Errorf("agent %q: the pool's New has no step for it", name)
	}
	select {
	case f.starting <- struct{}{}:
	case <-claim.Done():
		return claim.Err()
	case <-ctx.Done():
		return nil
	}
	begun := sync.OnceFunc(func() { <-f.starting })
	defer begun()
	tell := cfg.OnEvent
	cfg.OnEvent = func(e Event) {
		if e.Kind == Restored {
			begun()
		}
		if tell != nil {
			tell(e)
		}
	}
	return run(ctx, f.client, cfg, step, claim)
}
