// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Show describes the agent and its head, without content. Of a deleted agent it
// tells the newest number, and no version. It does not move the handle's
// position. Errors: hawser.ErrNotFound for an agent that never was.
func (a *Agent) Show(ctx context.Context, opts ...ReadOption) (hawser.Agent, error) {
	if a.err != nil {
		return hawser.Agent{}, a.err
	}
	resp, err := a.client.showCall(ctx, a.id, 0, showOptions(opts))
	if err != nil {
		return hawser.Agent{}, err
	}
	return wire.AgentInfoFromProto(resp.GetAgent()), nil
}

// ShowVersion describes one version, without content; 0 is the head. It does
// not move the handle's position. Errors: hawser.ErrNotFound,
// hawser.ErrVersionGone.
func (a *Agent) ShowVersion(ctx context.Context, number uint64, opts ...ReadOption) (hawser.Version, error) {
	if a.err != nil {
		return hawser.Version{}, a.err
	}
	resp, err := a.client.showCall(ctx, a.id, number, showOptions(opts))
	return wire.VersionFromProto(resp.GetVersion()), err
}

func showOptions(opts []ReadOption) readOptions {
	var o readOptions
	for _, opt := range opts {
		opt.applyRestore(&o)
	}
	return o
}

func (c *Client) show(ctx context.Context, agent hawser.AgentID) (hawser.Agent, hawser.Generation, error) {
	resp, err := c.showCall(ctx, agent, 0, readOptions{})
	if err != nil {
		return hawser.Agent{}, hawser.Generation(c.generation.Load()), err
	}
	return wire.AgentInfoFromProto(resp.GetAgent()), hawser.Generation(resp.GetHeader().GetGeneration()), nil
}

func (c *Client) showCall(ctx context.Context, agent hawser.AgentID, number uint64, o readOptions) (*hawserv1.ShowResponse, error) {
	req := &hawserv1.ShowRequest{Agent: wire.AgentToProto(agent), Version: number, Read: o.proto()}
	var resp *hawserv1.ShowResponse
	err := c.do(ctx, &call{
		op: "show", key: agent.String(), leader: !o.stale,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Show(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	return resp, err
}
