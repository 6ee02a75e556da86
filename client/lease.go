// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// endTimeout bounds the end of a lease that nobody waits for.
const endTimeout = 2 * time.Second

// lease is a lease of this process. It is good until its deadline: the time at
// which the last renewal that was confirmed was sent, and its TTL less a tenth.
// The cluster counts the TTL from the receipt, which is later, and in full.
type lease struct {
	client     *Client
	id         hawser.LeaseID
	ttl        time.Duration
	generation uint64
	// ctx ends with the lease; its cause is why.
	ctx    context.Context //nolint:containedctx // it is the lease's own end
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	deadline time.Duration // on bootNow's clock
	timer    *time.Timer
	// active counts the functions that run under it; ack is set when the last of
	// them has to tell the cluster that the end is known.
	active int
	ack    bool
	// awaited are the agents that this process waits for under it.
	awaited map[hawser.AgentID]struct{}
	// under is what it holds, nil for a lease of one hold, which ends with that.
	under *holds
	// reporting are those whose reports go with the renewals.
	reporting []*reporting
}

// openLease opens a lease, and has it renewed from then on. One that is shared is
// for many holds.
func (c *Client) openLease(ctx context.Context, ttl time.Duration, shared bool) (*lease, error) {
	if ttl < hawser.MinTTL || ttl > hawser.MaxTTL {
		return nil, &hawser.Error{
			Code: hawser.CodeInvalid, Op: "open lease", Msg: fmt.Sprintf("a time to live of %s; %s to %s are possible", ttl, hawser.MinTTL, hawser.MaxTTL),
		}
	}
	l := &lease{client: c, id: hawser.NewLeaseID(), ttl: ttl}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	if shared {
		l.under = &holds{lease: l, of: make(map[hawser.Resource]*hold)}
	}
	req := &hawserv1.OpenLeaseRequest{Lease: l.id[:], Ttl: durationpb.New(ttl), Instance: c.cfg.Instance}
	// The cluster counts from whichever attempt it executes, and that may be the
	// first though a later one was answered.
	var sent time.Duration
	err := c.do(ctx, &call{
		op: "open lease", key: l.id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			if sent == 0 {
				sent = bootNow()
			}
			resp, err := hawserv1.NewCoordinationClient(s.conn).OpenLease(ctx, req, s.options...)
			l.generation = resp.GetHeader().GetGeneration()
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		l.cancel(err)
		if errors.Is(err, hawser.ErrOutcomeUnknown) {
			c.background(l.end)
		}
		return nil, err
	}
	l.mu.Lock()
	l.deadline = sent + ttl - ttl/10
	confirmed := l.deadline - bootNow()
	l.timer = time.AfterFunc(confirmed, l.expire)
	l.mu.Unlock()
	if err := c.keeper.add(l, confirmed); err != nil {
		c.background(l.end)
		return nil, err
	}
	return l, nil
}

// confirm notes that a renewal sent at that time was confirmed.
func (l *lease) confirm(sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() == nil {
		l.deadline = max(l.deadline, sent+l.ttl-l.ttl/10)
	}
}

// expire is called when the deadline as it was last time has come.
func (l *lease) expire() {
	l.mu.Lock()
	left := l.deadline - bootNow()
	if left > 0 && l.ctx.Err() == nil {
		l.timer.Reset(left)
	}
	l.mu.Unlock()
	if left <= 0 {
		l.lose("no renewal was confirmed in time")
	}
}

// await notes that this process waits for an agent, until done is called.
func (l *lease) await(id hawser.AgentID) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.awaited == nil {
		l.awaited = make(map[hawser.AgentID]struct{})
	}
	l.awaited[id] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.awaited, id)
	}
}

// follows calls yield with the agents that this process waits for and of which
// it has a version, until it returns false.
func (l *lease) follows(yield func(id hawser.AgentID, version uint64) bool) {
	l.mu.Lock()
	awaited := slices.Collect(maps.Keys(l.awaited))
	l.mu.Unlock()
	for _, id := range awaited {
		if version := l.client.cache.newest(id); version != 0 && !yield(id, version) {
			return
		}
	}
}

// ended notes that somebody else has ended a hold.
func (l *lease) ended(resource hawser.Resource, token uint64, why string) {
	if l.under == nil {
		l.lose(why)
		return
	}
	if h := l.under.find(resource, token); h != nil {
		h.lose(why)
	}
}

// live reports whether the lease can be counted on now. It looks at the clock:
// after a pause this process may not have been told of anything yet.
func (l *lease) live() bool {
	l.mu.Lock()
	over := bootNow() >= l.deadline
	l.mu.Unlock()
	if over {
		l.lose("no renewal was confirmed in time")
	}
	return l.ctx.Err() == nil
}

// lose ends the lease on this side. If functions run under it, the cluster
// learns of that when the last of them returns, else when its time is over or
// the holder releases. It reports whether none runs.
func (l *lease) lose(why string) (idle bool) {
	l.mu.Lock()
	idle = l.active == 0
	if l.ctx.Err() == nil {
		l.ack = l.active > 0
		l.timer.Stop()
		l.cancel(&hawser.Error{Code: hawser.CodeOwnershipLost, Op: "lease", Key: l.id.String(), Msg: why})
	}
	l.mu.Unlock()
	l.client.keeper.remove(l)
	return idle
}

// enter begins a function that runs under the lease; leave ends it.
func (l *lease) enter() error {
	if !l.live() {
		return context.Cause(l.ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil { // lost since, by one who saw nobody active
		return context.Cause(l.ctx)
	}
	l.active++
	return nil
}

func (l *lease) leave() {
	l.mu.Lock()
	l.active--
	ack := l.ack && l.active == 0
	if ack {
		l.ack = false
	}
	l.mu.Unlock()
	if ack {
		l.client.background(l.end)
	}
}

// release ends the lease everywhere, with all that is held under it.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	if l.ctx.Err() == nil {
		l.timer.Stop()
		l.cancel(&hawser.Error{Code: hawser.CodeOwnershipLost, Op: "lease", Key: l.id.String(), Msg: "it was released"})
	}
	l.ack = false
	l.mu.Unlock()
	l.client.keeper.remove(l)
	return l.end(ctx)
}

// end tells the cluster that the lease is over.
func (l *lease) end(ctx context.Context) error {
	return l.client.do(ctx, &call{
		op: "end lease", key: l.id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCoordinationClient(s.conn).EndLease(ctx, &hawserv1.EndLeaseRequest{Lease: l.id[:], Generation: l.generation}, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// background runs what nobody waits for, within bounds. Close waits for it.
func (c *Client) background(f func(context.Context) error) {
	c.keeper.goSome(func() {
		ctx, cancel := context.WithTimeout(c.keeper.ends, endTimeout)
		defer cancel()
		if err := f(ctx); err != nil {
			c.cfg.Logger.Debug("a lease was not ended; it expires", "error", err)
		}
	})
}
