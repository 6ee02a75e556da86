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

// Versions lists the agent's versions, newest first, a page at a time; each
// page is a call of its own and a consistent view, the whole list is not. An
// error ends it.
func (a *Agent) Versions(ctx context.Context, opts ...ListOption) iter.Seq2[hawser.Version, error] {
	if a.err != nil {
		return failed[hawser.Version](a.err)
	}
	o := listOptions(opts)
	return list(o.limit, func(limit uint32, token string) ([]hawser.Version, string, error) {
		req := &hawserv1.VersionsRequest{Agent: wire.AgentToProto(a.id), Limit: limit, PageToken: token, Read: o.proto()}
		var resp *hawserv1.VersionsResponse
		err := a.client.do(ctx, &call{
			op: "versions", key: a.id.String(), leader: !o.stale,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				var err error
				resp, err = hawserv1.NewStateClient(s.conn).Versions(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetVersions(), wire.VersionFromProto), resp.GetNextPageToken(), err
	})
}

// Agents lists the agents of the client's namespace by name: all of them, or
// those whose names start with the segments of prefix ("crew" finds crew and
// crew/a, not crewman). It pages as [Agent.Versions] does.
func (c *Client) Agents(ctx context.Context, prefix string, opts ...ListOption) iter.Seq2[hawser.Agent, error] {
	prefix, err := hawser.NewPrefix(prefix)
	if err != nil {
		return failed[hawser.Agent](err)
	}
	o := listOptions(opts)
	return list(o.limit, func(limit uint32, token string) ([]hawser.Agent, string, error) {
		req := &hawserv1.AgentsRequest{Namespace: c.cfg.Namespace, Prefix: prefix, Limit: limit, PageToken: token, Read: o.proto()}
		var resp *hawserv1.AgentsResponse
		err := c.do(ctx, &call{
			op: "agents", key: prefix, leader: !o.stale,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				var err error
				resp, err = hawserv1.NewStateClient(s.conn).Agents(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetAgents(), wire.AgentInfoFromProto), resp.GetNextPageToken(), err
	})
}

func listOptions(opts []ListOption) readOptions {
	var o readOptions
	for _, opt := range opts {
		opt.applyList(&o)
	}
	return o
}

// page fetches up to limit items from token on, and the token of the next.
type page[T any] func(limit uint32, token string) (items []T, next string, err error)

// list yields the items of all pages, at most limit of them unless it is 0.
func list[T any](limit int, fetch page[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		left := limit
		for token := ""; ; {
			size := hawser.DefaultPage
			if limit > 0 {
				size = min(left, hawser.MaxPage)
			}
			items, next, err := fetch(uint32(size), token)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
				left--
				if limit > 0 && left == 0 {
					return
				}
			}
			if next == "" {
				return
			}
			if next == token || len(items) == 0 {
				yield(none, &hawser.Error{Code: hawser.CodeInternal, Op: "list", Msg: "the node's pages do not advance"})
				return
			}
			token = next
		}
	}
}

func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

func convert[M, T any](messages []M, from func(M) T) []T {
	items := make([]T, len(messages))
	for i, m := range messages {
		items[i] = from(m)
	}
	return items
}
