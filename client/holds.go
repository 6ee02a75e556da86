// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// returnPause is the pause between two rounds of giving back what could not be
	// given back.
	returnPause = time.Second
	// straggling is how long after it was given up a wish may still be executed:
	// nodes pass on for 4 s what a client has sent.
	straggling = 5 * time.Second
)

// holds are what one lease holds, waits for, or has given back without the
// cluster's word for it. There is one hold of a resource at a time.
type holds struct {
	lease *lease

	mu sync.Mutex
	of map[hawser.Resource]*hold
	// returns are to be given back again. A goroutine of the keeper does that
	// while there are some.
	returns   []giving
	returning bool
}

// giving is a hold that is given back until the cluster says that it has it, and
// some time has passed.
type giving struct {
	*hold

	until time.Time
}

// find returns the hold of a resource with that fence, nil for none.
func (u *holds) find(name hawser.Resource, token uint64) *hold {
	u.mu.Lock()
	h := u.of[name]
	u.mu.Unlock()
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.token != token {
		return nil
	}
	return h
}

// admit waits until the lease has nothing of the resource, and enters the hold.
func (u *holds) admit(ctx context.Context, h *hold, noWait bool) error {
	for {
		u.mu.Lock()
		other := u.of[h.resource]
		if other == nil {
			u.of[h.resource] = h
		}
		u.mu.Unlock()
		switch {
		case other == nil:
			return nil
		case noWait:
			return &hawser.Error{Code: hawser.CodeBusy, Op: "acquire", Key: h.resource.String(), Msg: "the lease holds it, or waits for it"}
		}
		select {
		case <-other.gone:
		case <-ctx.Done():
			return waitEnded("acquire", h.resource.String(), context.Cause(ctx))
		}
	}
}

// forget notes that the lease has nothing of what was a hold's any more.
func (u *holds) forget(h *hold) {
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-h.gone:
		return
	default:
		close(h.gone)
	}
	if u.of[h.resource] == h {
		delete(u.of, h.resource)
	}
}

// release gives a hold back. If that fails it is tried again for as long as the
// lease lasts.
func (u *holds) release(ctx context.Context, h *hold) error {
	h.lose("it was released")
	h.mu.Lock()
	h.ack = false
	h.mu.Unlock()
	err := h.tell(ctx)
	if err != nil && u.lease.ctx.Err() == nil {
		u.giveBack(h)
		return err
	}
	u.forget(h)
	return err
}

// giveBack has a hold given back in the background.
func (u *holds) giveBack(h *hold) {
	g := giving{hold: h}
	if h.unsure {
		g.until = time.Now().Add(straggling)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.returns = append(u.returns, g)
	if !u.returning {
		u.returning = true
		u.lease.client.keeper.goSome(u.giveAllBack)
	}
}

// giveAllBack gives back what is to be, until nothing is left or the lease ends.
func (u *holds) giveAllBack() {
	for {
		u.mu.Lock()
		round := u.returns
		u.returns = nil
		u.returning = len(round) > 0 && u.lease.ctx.Err() == nil
		again := u.returning
		u.mu.Unlock()
		if !again {
			return
		}
		left := u.giveRound(round)
		if len(left) == 0 {
			continue
		}
		u.mu.Lock()
		u.returns = append(u.returns, left...)
		u.mu.Unlock()
		select {
		case <-time.After(returnPause):
		case <-u.lease.ctx.Done():
		}
	}
}

// giveRound gives back each hold once, and returns those that are to be given back
// once more.
func (u *holds) giveRound(round []giving) (left []giving) {
	for _, g := range round {
		ctx, cancel := context.WithTimeout(u.lease.ctx, endTimeout)
		err := g.tell(ctx)
		cancel()
		if err != nil || time.Now().Before(g.until) {
			left = append(left, g)
			continue
		}
		u.forget(g.hold)
	}
	return left
}

// tell tells the cluster that a hold is given back, or the place in the queue.
func (h *hold) tell(ctx context.Context) error {
	h.mu.Lock()
	req := &hawserv1.ReleaseRequest{
		Resource: wire.ResourceToProto(h.resource), Lease: h.lease.id[:], Token: h.token, Generation: h.lease.generation,
	}
	h.mu.Unlock()
	return h.lease.client.do(ctx, &call{
		op: "release", key: h.resource.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCoordinationClient(s.conn).Release(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// Lease is a sign of life of this process, under which it holds many agents and
// locks: see [Under]. The cluster hears of it once for all of them, and when the
// process dies all of them are free at once. Safe for concurrent use. Make one
// with [Client.OpenLease].
//
// What is held under it ends one by one: what is released, handed over or taken
// away leaves the others as they are, each with its own fence and its own Done.
// When the lease is lost, all of them are.
type Lease struct{ lease *lease }

// OpenLease opens a lease that outlives this process by ttl, from 500 ms to an
// hour; 0 is hawser.DefaultTTL. It is renewed six times in that time, until it is
// released.
func (c *Client) OpenLease(ctx context.Context, ttl time.Duration) (*Lease, error) {
	if ttl == 0 {
		ttl = hawser.DefaultTTL
	}
	l, err := c.openLease(ctx, ttl, true)
	if err != nil {
		return nil, err
	}
	return &Lease{l}, nil
}

// Under has an agent claimed, or a lock taken, under a lease of this client, whose
// TTL counts then, at most 10,000 under one. Nobody else's turn comes earlier for
// it: of what the lease holds or waits for already, a second one waits until the
// first is released.
func Under(l *Lease) HoldOption { return func(o *holdOptions) { o.under = l } }

// Done is closed when the lease can no longer be counted on.
func (l *Lease) Done() <-chan struct{} { return l.lease.ctx.Done() }

// Err says why, in an error that matches hawser.ErrOwnershipLost; nil before Done
// is closed.
func (l *Lease) Err() error {
	if l.lease.ctx.Err() == nil {
		return nil
	}
	return context.Cause(l.lease.ctx)
}

// Release ends the lease, and gives back all that is held under it.
func (l *Lease) Release(ctx context.Context) error { return l.lease.release(ctx) }
