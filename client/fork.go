// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Fork makes a new agent of the same namespace whose first version equals the
// head of this one, or the version named by [AtVersion]; it returns that first
// version. No content is sent or stored, whatever its size; what is saved later
// on either side stays apart. The handle does not move; get one of the new
// agent with [Client.Agent].
//
// Errors: *hawser.ConflictError when the new agent exists already,
// hawser.ErrNotFound, hawser.ErrVersionGone or hawser.ErrCorrupt of what is
// forked, *hawser.UnknownOutcomeError as for [Agent.Save], with an id that
// names the new agent.
func (a *Agent) Fork(ctx context.Context, name string, opts ...ForkOption) (hawser.Version, error) {
	var o forkOptions
	for _, opt := range opts {
		opt.applyFork(&o)
	}
	target := a.client.Agent(name) // has seen nothing, so it may only create
	if a.err != nil {
		return hawser.Version{}, a.err
	}
	if target.err != nil {
		return hawser.Version{}, target.err
	}
	if err := o.checkID(hawser.RequestFork, target.id); err != nil {
		return hawser.Version{}, err
	}
	ctx, cancel := a.client.budget(ctx, 0)
	defer cancel()
	return target.write(ctx, hawser.RequestFork, &o.writeOptions, func(ctx context.Context, id hawser.RequestID, repeat bool) (hawser.Version, error) {
		return target.sendFork(ctx, a.id, &o, id, repeat)
	})
}

func (a *Agent) sendFork(ctx context.Context, source hawser.AgentID, o *forkOptions, id hawser.RequestID, repeat bool) (hawser.Version, error) {
	req := &hawserv1.ForkRequest{
		Agent: wire.AgentToProto(a.id), Source: wire.AgentToProto(source), SourceVersion: o.version, Instance: a.client.cfg.Instance,
		Fence: o.fence,
	}
	var resp *hawserv1.ForkResponse
	err := a.client.do(ctx, &call{
		op: "fork", key: a.id.String(), id: &id, write: true, repeat: repeat, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			req.Request = wire.RequestToProto(id, s.attempt)
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Fork(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	v := wire.VersionFromProto(resp.GetVersion())
	if err == nil {
		err = checkMade(id, v)
	}
	if err != nil {
		return hawser.Version{}, err
	}
	a.client.cache.fork(source, versionAt{
		agent: a.id, number: v.Number, generation: hawser.Generation(resp.GetHeader().GetGeneration()), sha: v.SHA256,
	})
	return v, nil
}
