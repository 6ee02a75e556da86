// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// watchman sees to it that a member of a pool runs its part, for as long as its
// lease lasts. All but changed belongs to the loop.
type watchman[S any] struct {
	*fleet[S]

	lease *client.Lease
	// changed has capacity 1: the members have.
	changed chan struct{}
	tasks   sync.WaitGroup
	running map[string]*member
	// agents is how many there are.
	agents int
	// pause is until the next look, tidied when it was last tidied up.
	pause  time.Duration
	tidied time.Time
}

// run looks after the agents until ctx or the lease ends; then it waits for all of
// them.
func (w *watchman[S]) run(ctx context.Context) error {
	working, cancel := context.WithCancel(ctx)
	defer w.tasks.Wait()
	defer w.stopAll()
	defer cancel() // first, so that others claim the agents that are then given up
	w.tasks.Go(func() { w.enrol(working) })
	w.tasks.Go(func() { w.listen(working) })
	for {
		err := w.look(ctx)
		if err == nil && time.Since(w.tidied) >= tidyEvery {
			err = w.tidy(ctx)
		}
		if err != nil && ctx.Err() == nil && w.lease.Err() == nil {
			if hopeless(err) {
				return err
			}
			w.Logger.Warn("pool: its members or agents cannot be looked at; what runs goes on", "prefix", w.Prefix, "error", err)
		}
		timer := time.NewTimer(w.pause)
		select {
		case <-timer.C:
		case <-w.changed:
			w.pause = lookSoon
		case <-w.lease.Done():
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || w.lease.Err() != nil {
			return nil
		}
	}
}

// enrol holds the lock by which others know of this process, until ctx or the lease
// ends.
func (w *watchman[S]) enrol(ctx context.Context) {
	name := w.roll() + "/" + strconv.Itoa(w.Max) + "-" + url.PathEscape(w.client.Instance())
	for ctx.Err() == nil && w.lease.Err() == nil {
		lock, err := w.client.Lock(ctx, name, client.Under(w.lease))
		if err != nil {
			if ctx.Err() == nil && w.lease.Err() == nil {
				w.Logger.Warn("pool: this process cannot be a member", "prefix", w.Prefix, "error", err)
			}
			_ = sleep(ctx, firstRetry)
			continue
		}
		select {
		case <-lock.Done():
		case <-ctx.Done():
			releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
			_ = lock.Release(releasing) // else it ends with the lease
			cancel()
		}
	}
}

// listen signals changes of the members.
func (w *watchman[S]) listen(ctx context.Context) {
	for ctx.Err() == nil {
		for _, err := range w.client.Watch(ctx, client.Prefix(w.roll()), client.Kinds(hawser.EventLockGranted, hawser.EventLockEnded)) {
			select {
			case w.changed <- struct{}{}:
			default:
			}
			if err != nil {
				break
			}
		}
		_ = sleep(ctx, firstRetry)
	}
}

// look claims agents as long as there is room for them here and some are free, or
// gives up what is too many.
func (w *watchman[S]) look(ctx context.Context) error {
	for name, m := range w.running {
		if isClosed(m.done) {
			delete(w.running, name)
		}
	}
	seats, err := w.seats(ctx)
	if err != nil {
		return err
	}
	for {
		room := w.part(seats) - len(w.running)
		claims, agents, err := w.lease.ClaimAny(ctx, w.Prefix, max(room, 0))
		if err != nil {
			return err
		}
		more := agents > w.agents
		w.agents = agents
		for _, claim := range claims {
			w.start(ctx, claim)
		}
		if w.part(seats) <= len(w.running) || len(claims) == 0 && !more {
			w.rest(len(claims) > 0 && room > 0, seats)
			break
		}
	}
	w.shrink(w.part(seats))
	return nil
}

// part is how many agents are to be run here.
func (w *watchman[S]) part(seats []seat) int { return parts(w.agents, seats)[w.client.Instance()] }

// rest sets the pause until the next look: short while there is room, and longer
// each time that nothing was free.
func (w *watchman[S]) rest(found bool, seats []seat) {
	switch {
	case len(w.running) >= w.part(seats):
		w.pause = lookEvery
	case found:
		w.pause = lookSoon
	default:
		w.pause = min(2*w.pause, lookEvery)
	}
}

// start runs an agent that was claimed.
func (w *watchman[S]) start(ctx context.Context, claim *client.Claim) {
	name := claim.Agent().ID().Name
	ctx, stop := context.WithCancel(ctx)
	m := &member{claim: claim, since: time.Now(), stop: stop, idle: make(chan struct{}), done: make(chan struct{})}
	before := w.running[name]
	w.running[name] = m
	w.tasks.Go(func() {
		if before != nil { // its claim has ended, and it was claimed again
			before.stop()
			<-before.done
		}
		w.tend(ctx, m)
	})
}

// shrink stops agents until no more than part are left.
func (w *watchman[S]) shrink(part int) {
	left := 0
	for _, m := range w.running {
		if !m.stopped {
			left++
		}
	}
	for _, m := range w.running {
		if left <= part {
			return
		}
		if !m.stopped {
			m.halt()
			left--
		}
	}
}

func (m *member) halt() {
	m.stopped = true
	m.stop()
}

// tidy stops agents that do not exist any more, and gives back those that are done
// and that somebody waits for.
func (w *watchman[S]) tidy(ctx context.Context) error {
	began := time.Now()
	exists := map[string]bool{}
	for a, err := range w.client.Agents(ctx, w.Prefix) {
		if err != nil {
			return err
		}
		exists[a.ID.Name] = a.Version != nil
	}
	idle := false
	for name, m := range w.running {
		if !exists[name] && m.since.Before(began) {
			m.halt()
		}
		idle = idle || isClosed(m.idle)
	}
	w.tidied = began
	if !idle {
		return nil
	}
	for h, err := range w.client.Holdings(ctx, hawser.ResourceClaim, w.Prefix) {
		if err != nil {
			return err
		}
		if m := w.running[h.Resource.Name.Name]; m != nil && h.Waiting > 0 && isClosed(m.idle) {
			m.halt()
		}
	}
	return nil
}

// stopAll stops all agents and waits for them.
func (w *watchman[S]) stopAll() {
	for _, m := range w.running {
		m.stop()
	}
	for _, m := range w.running {
		<-m.done
	}
}
