// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"iter"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Health lists how the instances do that own agents, or wait for them, below a prefix
// ("" for all of the namespace), by the names of the agents, the owner first. Only those
// that report are there (see [Reports]). It is what the leader has in its memory: after a
// change of the leader every state is unknown at first.
func (c *Client) Health(ctx context.Context, prefix string) iter.Seq2[hawser.InstanceHealth, error] {
	return func(yield func(hawser.InstanceHealth, error) bool) {
		req := &hawserv1.ListHealthRequest{Namespace: c.cfg.Namespace, Prefix: prefix}
		for {
			resp, err := c.listHealth(ctx, req, prefix)
			if err != nil {
				yield(hawser.InstanceHealth{}, err)
				return
			}
			for _, m := range resp.GetInstances() {
				if !yield(wire.InstanceHealthFromProto(m), nil) {
					return
				}
			}
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
				return
			}
		}
	}
}

// Health tells how the instances of the agent do, the owner first, each with its newest
// results. See [Client.Health].
func (a *Agent) Health(ctx context.Context) ([]hawser.InstanceHealth, error) {
	if a.err != nil {
		return nil, a.err
	}
	resp, err := a.client.listHealth(ctx, &hawserv1.ListHealthRequest{Namespace: a.id.Namespace, Name: a.id.Name}, a.id.String())
	if err != nil {
		return nil, err
	}
	list := make([]hawser.InstanceHealth, 0, len(resp.GetInstances()))
	for _, m := range resp.GetInstances() {
		list = append(list, wire.InstanceHealthFromProto(m))
	}
	return list, nil
}

func (c *Client) listHealth(ctx context.Context, req *hawserv1.ListHealthRequest, key string) (resp *hawserv1.ListHealthResponse, err error) {
	err = c.do(ctx, &call{
		op: "health", key: key, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewHealthClient(s.conn).ListHealth(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	return resp, err
}

// Findings lists what the store has noticed about agents below a prefix ("" for all of
// the namespace) by itself: from the cadence of their saves, the growth and repetition
// of their states, and their effects. Agents about which there is nothing to tell are
// left out.
func (c *Client) Findings(ctx context.Context, prefix string) iter.Seq2[hawser.AgentFindings, error] {
	return func(yield func(hawser.AgentFindings, error) bool) {
		req := &hawserv1.ListFindingsRequest{Namespace: c.cfg.Namespace, Prefix: prefix}
		for {
			resp, err := c.listFindings(ctx, req, prefix)
			if err != nil {
				yield(hawser.AgentFindings{}, err)
				return
			}
			for _, m := range resp.GetAgents() {
				if !yield(wire.FindingsFromProto(m), nil) {
					return
				}
			}
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
				return
			}
		}
	}
}

// Findings tells what the store has noticed about the agent by itself; none are there
// mostly. See [Client.Findings].
func (a *Agent) Findings(ctx context.Context) ([]hawser.Finding, error) {
	if a.err != nil {
		return nil, a.err
	}
	resp, err := a.client.listFindings(ctx, &hawserv1.ListFindingsRequest{Namespace: a.id.Namespace, Name: a.id.Name}, a.id.String())
	if err != nil || len(resp.GetAgents()) == 0 {
		return nil, err
	}
	return wire.FindingsFromProto(resp.GetAgents()[0]).Findings, nil
}

func (c *Client) listFindings(ctx context.Context, req *hawserv1.ListFindingsRequest, key string) (resp *hawserv1.ListFindingsResponse, err error) {
	err = c.do(ctx, &call{
		op: "findings", key: key,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewHealthClient(s.conn).ListFindings(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	return resp, err
}

// Note records an event of the agent that happened outside of the cluster: kind is
// hawser.EventRuntimeStateBad of a version, or hawser.EventRuntimeRecovery. A reason
// that is too long is cut off. It is for what runs or supervises agents. When an answer is
// lost the event may be recorded twice.
func (a *Agent) Note(ctx context.Context, kind hawser.EventKind, version uint64, reason string) error {
	if a.err != nil {
		return a.err
	}
	req := &hawserv1.NoteRequest{
		Agent: wire.AgentToProto(a.id), Kind: uint32(kind), Number: version, Instance: a.client.cfg.Instance, Reason: cut(reason), Generation: a.client.generation.Load(),
	}
	return a.client.do(ctx, &call{
		op: "note", key: a.id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewHealthClient(s.conn).Note(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}
