// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Show describes the agent and its head, without content. It does not move the
// handle's position. Errors: hawser.ErrNotFound.
func (a *Agent) Show(ctx context.Context, opts ...ReadOption) (hawser.Agent, error) {
	shown, err := a.showVersion(ctx, 0, opts)
	return shown.agent, err
}

// ShowVersion describes one version, without content; 0 is the head. It does
// not move the handle's position. Errors: hawser.ErrNotFound,
// hawser.ErrVersionGone.
func (a *Agent) ShowVersion(ctx context.Context, number uint64, opts ...ReadOption) (hawser.Version, error) {
	shown, err := a.showVersion(ctx, number, opts)
	return shown.version, err
}

func (a *Agent) showVersion(ctx context.Context, number uint64, opts []ReadOption) (shown, error) {
	if a.err != nil {
		return shown{}, a.err
	}
	var o readOptions
	for _, opt := range opts {
		opt.applyRestore(&o)
	}
	found, _, err := a.client.show(ctx, a.id, number, o)
	return found, err
}

// shown is what a node says of an agent.
type shown struct {
	agent   hawser.Agent
	version hawser.Version
	// head is the newest number of the agent's chain.
	head uint64
}

func (c *Client) show(ctx context.Context, agent hawser.AgentID, number uint64, o readOptions) (shown, hawser.Generation, error) {
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
	if err != nil {
		return shown{}, hawser.Generation(c.generation.Load()), err
	}
	found := shown{agent: wire.AgentInfoFromProto(resp.GetAgent()), version: wire.VersionFromProto(resp.GetVersion())}
	found.head = found.agent.Head
	return found, hawser.Generation(resp.GetHeader().GetGeneration()), nil
}
