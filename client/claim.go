// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"slices"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Claim is the ownership of an agent. While it lasts nobody else can write to
// the agent: its writes carry the fence of the claim, and the cluster refuses
// all others. Safe for concurrent use. Make one with [Agent.Claim].
type Claim struct {
	*hold

	agent *Agent
	head  *hawser.Version
}

// Claim waits until the agent is this process's, or ctx ends. The agent need
// not exist. The handle a then stands at the head as it was at the grant, as
// after a Restore, so that the first save follows what the owner before has
// saved last; restore it if you need its state.
//
// Writes to an agent that was ever claimed need a claim from then on, until
// somebody calls [Agent.Unclaim].
func (a *Agent) Claim(ctx context.Context, opts ...HoldOption) (*Claim, error) {
	if a.err != nil {
		return nil, a.err
	}
	o := holdOptionsOf(opts)
	o.capacity = 0
	h, err := a.client.acquire(ctx, claimOf(a.id), o)
	if err != nil {
		return nil, err
	}
	if err := a.take(ctx, "claim"); err != nil {
		h.giveUp()
		return nil, err
	}
	defer a.give()
	return a.granted(h), nil
}

// granted is a claim of an agent that this process was given. The caller has the
// handle's turn.
func (a *Agent) granted(h *hold) *Claim {
	c := &Claim{hold: h, agent: a}
	generation := hawser.Generation(h.grant.GetHeader().GetGeneration())
	p := position{seen: h.grant.GetSeen(), generation: generation}
	if h.grant.GetHead() != nil {
		head := wire.VersionFromProto(h.grant.GetHead())
		c.head, p = &head, positionAt(head, generation)
		p.seen = h.grant.GetSeen()
	}
	a.setPosition(p)
	return c
}

func claimOf(id hawser.AgentID) hawser.Resource {
	return hawser.Resource{Kind: hawser.ResourceClaim, Name: id}
}

// Agent returns the handle that the claim was made with.
func (c *Claim) Agent() *Agent { return c.agent }

// Head describes the agent's newest version at the grant; nil when it had none.
func (c *Claim) Head() *hawser.Version { return c.head }

// Save saves under the claim, as [Agent.Save] does. It does not start once the
// claim can no longer be counted on; one that was on its way is executed only
// while the claim is live, else the error matches hawser.ErrFenced.
func (c *Claim) Save(ctx context.Context, state []byte, opts ...SaveOption) (hawser.Version, error) {
	if err := c.check(); err != nil {
		return hawser.Version{}, err
	}
	return c.agent.Save(ctx, state, append(slices.Clip(opts), WithFence(c.grant.GetToken()))...)
}

// Restore returns the newest state, as [Agent.Restore] does.
func (c *Claim) Restore(ctx context.Context, opts ...RestoreOption) (Checkpoint, error) {
	return c.agent.Restore(ctx, opts...)
}

// Rollback is [Agent.Rollback] under the claim.
func (c *Claim) Rollback(ctx context.Context, number uint64, opts ...WriteOption) (hawser.Version, error) {
	if err := c.check(); err != nil {
		return hawser.Version{}, err
	}
	return c.agent.Rollback(ctx, number, append(slices.Clip(opts), WithFence(c.grant.GetToken()))...)
}

// Delete is [Agent.Delete] under the claim, which stays.
func (c *Claim) Delete(ctx context.Context, opts ...DeleteOption) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.agent.Delete(ctx, append(slices.Clip(opts), WithFence(c.grant.GetToken()))...)
}

func (c *Claim) check() error {
	if c.live() {
		return nil
	}
	return c.Err()
}

// Handover takes the agent from its owner and gives it to another instance,
// which must wait for it. The owner's writes are refused from then on; the
// other one gets the agent when the owner has stopped, or its TTL is over.
func (a *Agent) Handover(ctx context.Context, to, reason string) error {
	found, err := a.owned(ctx)
	if err != nil {
		return err
	}
	req := &hawserv1.HandoverRequest{Agent: wire.AgentToProto(a.id), Epoch: found.Epoch, To: to, Reason: reason, Generation: a.client.generation.Load()}
	return a.client.do(ctx, &call{
		op: "hand over", key: a.id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCoordinationClient(s.conn).Handover(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// Unclaim takes the agent from its owner, if it has one, and opens it to writes
// without a claim until it is claimed again. Who waits for it still gets it.
func (a *Agent) Unclaim(ctx context.Context, reason string) error {
	found, err := a.owned(ctx)
	if err != nil {
		return err
	}
	req := &hawserv1.UnclaimRequest{Agent: wire.AgentToProto(a.id), Epoch: found.Epoch, Reason: reason, Generation: a.client.generation.Load()}
	return a.client.do(ctx, &call{
		op: "unclaim", key: a.id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCoordinationClient(s.conn).Unclaim(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// owned describes who holds the agent.
func (a *Agent) owned(ctx context.Context) (hawser.Holding, error) {
	if a.err != nil {
		return hawser.Holding{}, a.err
	}
	return a.client.holding(ctx, claimOf(a.id))
}

// Owner describes who owns the agent and who waits for it.
func (a *Agent) Owner(ctx context.Context) (hawser.Holding, error) { return a.owned(ctx) }
