// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"iter"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Holdings lists claims or locks that are held or waited for, by name: those
// whose names start with the segments of prefix, "" for all of the namespace.
func (c *Client) Holdings(ctx context.Context, kind hawser.ResourceKind, prefix string) iter.Seq2[hawser.Holding, error] {
	return func(yield func(hawser.Holding, error) bool) {
		req := &hawserv1.HoldingsRequest{
			Kind: hawserv1.ResourceKind(kind), Namespace: c.cfg.Namespace, Prefix: prefix,
			Read: &hawserv1.ReadOptions{Consistency: hawserv1.Consistency_CONSISTENCY_LINEARIZABLE},
		}
		for {
			var resp *hawserv1.HoldingsResponse
			err := c.do(ctx, &call{
				op: "holdings", key: prefix,
				send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
					var err error
					resp, err = hawserv1.NewCoordinationClient(s.conn).Holdings(ctx, req, s.options...)
					return resp.GetHeader(), err
				},
			})
			if err != nil {
				yield(hawser.Holding{}, err)
				return
			}
			for _, h := range resp.GetHoldings() {
				if !yield(wire.HoldingFromProto(h), nil) {
					return
				}
			}
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
				return
			}
		}
	}
}

// holding describes one resource as it is now.
func (c *Client) holding(ctx context.Context, name hawser.Resource) (found hawser.Holding, err error) {
	err = c.observe(ctx, name, func(h hawser.Holding) bool {
		found = h
		return false
	})
	return found, err
}

// observe calls take with a resource as it is, and whenever that changes, until
// take returns false.
func (c *Client) observe(ctx context.Context, name hawser.Resource, take func(hawser.Holding) bool) error {
	req := &hawserv1.ObserveRequest{
		Resource: wire.ResourceToProto(name), Read: &hawserv1.ReadOptions{Consistency: hawserv1.Consistency_CONSISTENCY_LINEARIZABLE},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	taken := false
	err := follow(ctx, c, &call{op: "observe", key: name.String()},
		func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.ObserveResponse], error) {
			return hawserv1.NewCoordinationClient(s.conn).Observe(ctx, req, s.options...)
		},
		func(m *hawserv1.ObserveResponse) bool {
			taken = !take(wire.HoldingFromProto(m.GetHolding()))
			return !taken
		})
	if taken {
		return nil
	}
	return err
}

// Observe follows who owns the agent and who waits for it: first as it is, then
// whenever that changes. When the connection breaks it goes on at another node;
// changes in between are then seen as one. It ends with ctx, or an error.
func (a *Agent) Observe(ctx context.Context) iter.Seq2[hawser.Holding, error] {
	return func(yield func(hawser.Holding, error) bool) {
		for a.err == nil && ctx.Err() == nil {
			stopped := false
			err := a.client.observe(ctx, claimOf(a.id), func(h hawser.Holding) bool {
				stopped = !yield(h, nil)
				return !stopped
			})
			switch {
			case stopped:
				return
			case err != nil && !isPassing(err):
				yield(hawser.Holding{}, err)
				return
			}
		}
		if err := a.err; err != nil {
			yield(hawser.Holding{}, err)
		} else {
			yield(hawser.Holding{}, notStarted("observe", a.id.String(), ctx.Err()))
		}
	}
}
