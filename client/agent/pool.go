// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
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
	// Max is how many agents this process runs at most; 0 is as many as its share is.
	Max int
	// New describes an agent by its name, and what it does. Its Name is set. Required.
	New func(name string) (Config[S], Step[S])
	// TTL is how soon the others notice that this process is gone, 0 is
	// hawser.DefaultTTL. It is also that of agents that do not say another one.
	TTL time.Duration
	// OnError is told of an agent whose Run has failed; it is run again, here or by
	// another process, 1 s later, and later each time, up to a minute. It must not
	// block.
	OnError func(name string, err error)
	// Logger takes the same; nil is slog.Default().
	Logger *slog.Logger
}

const (
	// lookEvery is how often the agents are listed; a change of the members is told
	// at once.
	lookEvery = 2 * time.Second
	// firstRetry is the pause after the first failure of an agent, maxRetry the
	// longest.
	firstRetry, maxRetry = time.Second, time.Minute
	// maxStarting is how many agents are waited for and restored at a time.
	maxStarting = 64
)

// RunPool runs this process's share of the agents until ctx ends; then it saves and
// gives back each, and returns nil. The members of a pool know of each other by
// locks, and each works out by itself who is to run what, by rendezvous hashing
// (Thaler and Ravishankar, 1998) with at most a tenth more than the average for
// each. When a member comes, others give agents up to it, each after the step that
// it does; when one dies, its agents run elsewhere a time to live later. That one
// agent is not run by two is ensured by [Run], not by that.
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
	f := &fleet[S]{Pool: p, client: c, running: map[string]*member{}, starting: make(chan struct{}, maxStarting), changed: make(chan struct{}, 1)}
	return f.run(ctx)
}

// fleet is a pool while it runs.
type fleet[S any] struct {
	Pool[S]

	client *client.Client
	// starting bounds the agents that begin at a time.
	starting chan struct{}
	// changed has capacity 1: the members have.
	changed chan struct{}
	tasks   sync.WaitGroup

	// What follows belongs to the loop.
	running map[string]*member
}

// member is an agent that is run here, or was.
type member struct {
	stop context.CancelFunc
	done chan struct{}
	// failures counts those in a row, again is when it is run next.
	failures int
	again    time.Time
	// over: it has said that it is done.
	over bool
	err  error // of the last run, once done is closed
}

func (f *fleet[S]) run(ctx context.Context) error {
	working, cancel := context.WithCancel(ctx)
	defer f.tasks.Wait()
	defer f.stopAll()
	defer cancel() // first, so that others ask for the agents that are then given up
	f.tasks.Go(func() { f.enrol(working) })
	f.tasks.Go(func() { f.listen(working) })
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			if hawser.CodeOf(err).Retry() == hawser.RetryNever && !errors.Is(err, hawser.ErrDeadline) {
				return err
			}
			f.Logger.Warn("pool: its members or agents cannot be listed; what runs goes on", "prefix", f.Prefix, "error", err)
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-timer.C:
		case <-f.changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// roll is where the members of a pool have their locks.
func (f *fleet[S]) roll() string { return "pool/" + f.Prefix }

// enrol holds the lock by which others know of this process, until ctx ends.
func (f *fleet[S]) enrol(ctx context.Context) {
	name := f.roll() + "/" + strconv.Itoa(f.Max) + "-" + url.PathEscape(f.client.Instance())
	for ctx.Err() == nil {
		lock, err := f.client.Lock(ctx, name, client.TTL(f.TTL))
		if err != nil {
			if ctx.Err() == nil {
				f.Logger.Warn("pool: this process cannot be a member", "prefix", f.Prefix, "error", err)
			}
			_ = sleep(ctx, firstRetry)
			continue
		}
		select {
		case <-lock.Done():
		case <-ctx.Done():
			releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
			_ = lock.Release(releasing) // else it ends with its time to live
			cancel()
		}
	}
}

// listen signals changes of the members.
func (f *fleet[S]) listen(ctx context.Context) {
	for ctx.Err() == nil {
		for _, err := range f.client.Watch(ctx, client.Prefix(f.roll()), client.Kinds(hawser.EventLockGranted, hawser.EventLockEnded)) {
			select {
			case f.changed <- struct{}{}:
			default:
			}
			if err != nil {
				break
			}
		}
		_ = sleep(ctx, firstRetry)
	}
}

// look runs what this process is to run, and stops what it is not.
func (f *fleet[S]) look(ctx context.Context) error {
	seats, err := f.seats(ctx)
	if err != nil {
		return err
	}
	var agents []string
	for a, err := range f.client.Agents(ctx, f.Prefix, client.Stale()) {
		if err != nil {
			return err
		}
		if a.Version != nil {
			agents = append(agents, a.ID.Name)
		}
	}
	mine := map[string]bool{}
	for name, instance := range share(agents, seats) {
		if instance == f.client.Instance() {
			mine[name] = true
		}
	}
	for name, m := range f.running {
		select {
		case <-m.done:
			if !mine[name] {
				delete(f.running, name)
			}
		default:
			if !mine[name] {
				m.stop()
			}
		}
	}
	for name := range mine {
		f.start(ctx, name)
	}
	return nil
}

// seats returns the members.
func (f *fleet[S]) seats(ctx context.Context) (seats []seat, err error) {
	for h, err := range f.client.Holdings(ctx, hawser.ResourceLock, f.roll()) {
		if err != nil {
			return nil, err
		}
		segment, ok := strings.CutPrefix(h.Resource.Name.Name, f.roll()+"/")
		limit, _, split := strings.Cut(segment, "-")
		n, err := strconv.Atoi(limit)
		if !ok || !split || err != nil || len(h.Holders) == 0 {
			continue
		}
		seats = append(seats, seat{h.Holders[0].Instance, n})
	}
	return seats, nil
}

// start runs an agent unless it is run, is done, or has failed a moment ago.
func (f *fleet[S]) start(ctx context.Context, name string) {
	m := f.running[name]
	if m != nil {
		select {
		case <-m.done:
		default:
			return
		}
		if m.err == nil && m.over || time.Now().Before(m.again) {
			return
		}
	}
	failures := 0
	if m != nil {
		failures = m.failures
	}
	ctx, stop := context.WithCancel(ctx)
	m = &member{stop: stop, done: make(chan struct{}), failures: failures}
	f.running[name] = m
	f.tasks.Go(func() {
		defer close(m.done)
		defer stop()
		m.err = f.runOne(ctx, name)
		m.over = m.err == nil && ctx.Err() == nil
		if m.err == nil {
			m.failures = 0
			return
		}
		m.again = time.Now().Add(min(firstRetry<<min(m.failures, 10), maxRetry))
		m.failures++
		f.Logger.Warn("pool: an agent has failed", "agent", name, "failures", m.failures, "error", m.err)
		if f.OnError != nil {
			f.OnError(name, m.err)
		}
	})
}

func (f *fleet[S]) runOne(ctx context.Context, name string) error {
	cfg, step := f.New(name)
	cfg.Name = name
	if cfg.TTL == 0 {
		cfg.TTL = f.TTL
	}
	if step == nil {
		return fmt.Errorf("agent %q: the pool's New has no step for it", name)
	}
	select {
	case f.starting <- struct{}{}:
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
	return run(ctx, f.client, cfg, step, false)
}

// stopAll stops all agents and waits for them.
func (f *fleet[S]) stopAll() {
	for _, m := range f.running {
		m.stop()
	}
	for _, m := range f.running {
		<-m.done
	}
}
