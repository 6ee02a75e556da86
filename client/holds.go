// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"strings"
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
	// removed are the fences of what was forgotten since the last ClaimAny began.
	removed map[hawser.Resource]uint64
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
	if h == nil || h.fence() != token {
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
	if u.removed != nil {
		u.removed[h.resource] = max(u.removed[h.resource], h.fence())
	}
}

// begin counts the claims of agents below a prefix, and has what is forgotten
// noted from then on.
func (u *holds) begin(prefix string) (known int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.removed = make(map[hawser.Resource]uint64)
	for name := range u.of {
		if name.Kind == hawser.ResourceClaim && isBelow(name.Name.Name, prefix) {
			known++
		}
	}
	return known
}

// isBelow is what nodes take for below a prefix.
func isBelow(name, prefix string) bool {
	root := strings.TrimSuffix(prefix, "/")
	return prefix == "" || name == prefix || strings.HasPrefix(name, root+"/")
}

// adopt returns the hold of a claim that the cluster says the lease has, nil for
// one that is known here, or was given back while the cluster answered.
func (u *holds) adopt(name hawser.Resource, grant *hawserv1.AcquireResponse) *hold {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := u.removed[name]
	if h := u.of[name]; h != nil {
		token := h.fence()
		if token == 0 { // it asks for the agent, and will be told
			return nil
		}
		known = max(known, token)
	}
	if grant.GetToken() <= known {
		return nil
	}
	h := u.lease.newHold(name)
	h.grant, h.token = grant, grant.GetToken()
	u.of[name] = h
	return h
}

// release gives a hold back. If that fails it is tried again for as long as the
// lease lasts.
func (u *holds) release(ctx context.Context, h *hold) error {
	h.lose("it was released")
	h.mu.Lock()
	h.ack = false
	h.mu.Unlock()
	if !u.lease.live() { // it goes with the lease
		u.forget(h)
		return nil
	}
	if err := h.tell(ctx); err != nil {
		u.giveBack(h)
		return err
	}
	u.forget(h)
	return nil
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

// fence returns the token, 0 before it is granted.
func (h *hold) fence() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.token
}

// tell tells the cluster that a hold is given back, or the place in the queue.
func (h *hold) tell(ctx context.Context) error {
	req := &hawserv1.ReleaseRequest{
		Resource: wire.ResourceToProto(h.resource), Lease: h.lease.id[:], Token: h.fence(), Generation: h.lease.generation,
	}
	return h.lease.client.do(ctx, &call{
		op: "release", key: h.resource.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCoordinationClient(s.conn).Release(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}
