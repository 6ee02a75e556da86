// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Lease is a sign of life of this process, under which it holds many agents and
// locks: see [Under]. The cluster hears of it once for all of them, and when the
// process dies all of them are free at once. Safe for concurrent use. Make one
// with [Client.OpenLease].
//
// What is held under it ends one by one: what is released, handed over or taken
// away leaves the others as they are, each with its own fence and its own Done.
// When the lease is lost, all of them are.
type Lease struct {
	lease *lease
	// finding holds a token while a ClaimAny runs.
	finding chan struct{}
}

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
	return &Lease{lease: l, finding: make(chan struct{}, 1)}, nil
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

// maxCrew is how many holds a lease has at most.
const maxCrew = 10_000

// ClaimAny claims agents below a prefix under the lease, whichever are free: that
// have a version, no owner and nobody who waits. It does not wait, and claims n at
// most, and 256 in one call; 0 claims none. Handles and heads of the claims are as
// those of [Agent.Claim], without the labels of the head and what it was derived
// from. Agents is how many below the prefix have a version, whoever owns them.
//
// Prefix holds whole segments: "crew" is crew and crew/a, "crew/" is crew/a only.
//
// A call that has failed may have claimed some; they are among the claims that the
// next call returns, which can be more than n then.
func (l *Lease) ClaimAny(ctx context.Context, prefix string, n int) (claims []*Claim, agents int, err error) {
	if n < 0 {
		return nil, 0, &hawser.Error{Code: hawser.CodeInvalid, Op: "claim any", Key: prefix, Msg: "a negative number of agents"}
	}
	if !l.lease.live() {
		return nil, 0, l.Err()
	}
	select {
	case l.finding <- struct{}{}:
		defer func() { <-l.finding }()
	case <-ctx.Done():
		return nil, 0, notStarted("claim any", prefix, ctx.Err())
	}
	resp, err := l.askAny(ctx, prefix, l.lease.under.begin(prefix), n)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range resp.GetClaims() {
		id, err := wire.AgentFromProto(m.GetAgent())
		if err != nil {
			return claims, int(resp.GetAgents()), err
		}
		grant := &hawserv1.AcquireResponse{Header: resp.GetHeader(), Granted: true, Token: m.GetToken(), Head: m.GetHead(), Seen: m.GetSeen()}
		if h := l.lease.under.adopt(claimOf(id), grant); h != nil {
			claims = append(claims, l.lease.client.Agent(id.Name).granted(h))
		}
	}
	return claims, int(resp.GetAgents()), nil
}

func (l *Lease) askAny(ctx context.Context, prefix string, known, n int) (resp *hawserv1.ClaimAnyResponse, err error) {
	c := l.lease.client
	req := &hawserv1.ClaimAnyRequest{
		Lease: l.lease.id[:], Namespace: c.cfg.Namespace, Prefix: prefix, Known: uint32(min(known, maxCrew)), More: uint32(min(n, maxCrew)),
		Generation: l.lease.generation,
	}
	err = c.do(ctx, &call{
		op: "claim any", key: prefix, write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewCoordinationClient(s.conn).ClaimAny(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	return resp, err
}
