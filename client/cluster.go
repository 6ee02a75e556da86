// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// changeTime is what an attempt to change the cluster gets on top: catching
// up and handing over take longer than a save.
const changeTime = 5 * time.Second

// Cluster shows and changes the set of nodes. Make one with [Client.Cluster].
type Cluster struct{ client *Client }

// Status describes the node that answers, one of the configured endpoints, and
// what it knows of the cluster. A node answers without a leader, too.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	resp, err := c.client.status(ctx)
	if err != nil {
		return Status{}, err
	}
	return statusFromProto(resp), nil
}

// Members lists the nodes of the configuration.
func (c *Cluster) Members(ctx context.Context) ([]Member, error) {
	pages := list(0, func(limit uint32, token string) ([]Member, string, error) {
		var resp *hawserv1.MembersResponse
		err := c.client.do(ctx, &call{
			op: "members",
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				req := &hawserv1.MembersRequest{Limit: limit, PageToken: token}
				var err error
				resp, err = hawserv1.NewClusterClient(s.conn).Members(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetMembers(), memberFromProto), resp.GetNextPageToken(), err
	})
	var members []Member
	for m, err := range pages {
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// Promote makes a standby a voter. node is its id or, where only one node has
// it, its name. Promoting a voter changes nothing. Errors: hawser.ErrNotFound,
// hawser.ErrRefused, and hawser.ErrOutcomeUnknown as a *hawser.Error.
func (c *Cluster) Promote(ctx context.Context, node string) error {
	return c.change(ctx, "promote", node, false, func(ctx context.Context, api hawserv1.ClusterClient, id *hawserv1.RequestID, opts []grpc.CallOption) (*hawserv1.Header, error) {
		resp, err := api.Promote(ctx, &hawserv1.PromoteRequest{Node: node, Request: id}, opts...)
		return resp.GetHeader(), err
	})
}

// Remove takes a node out of the configuration, even if too few live voters
// would be left with force. Removing a node that is not there changes nothing.
// Errors as of [Cluster.Promote].
func (c *Cluster) Remove(ctx context.Context, node string, force bool) error {
	return c.change(ctx, "remove", node, false, func(ctx context.Context, api hawserv1.ClusterClient, id *hawserv1.RequestID, opts []grpc.CallOption) (*hawserv1.Header, error) {
		resp, err := api.Remove(ctx, &hawserv1.RemoveRequest{Node: node, Request: id, Force: force}, opts...)
		return resp.GetHeader(), err
	})
}

// TransferLeadership hands the leadership to a voter, to the one that follows
// best if node is empty. Errors as of [Cluster.Promote]; without a node it is
// not repeated once it may have been executed, since that would move the
// leadership on.
func (c *Cluster) TransferLeadership(ctx context.Context, node string) error {
	return c.change(ctx, "transfer leadership", node, node == "", func(ctx context.Context, api hawserv1.ClusterClient, id *hawserv1.RequestID, opts []grpc.CallOption) (*hawserv1.Header, error) {
		resp, err := api.TransferLeadership(ctx, &hawserv1.TransferLeadershipRequest{Node: node, Request: id}, opts...)
		return resp.GetHeader(), err
	})
}

type changeFunc func(context.Context, hawserv1.ClusterClient, *hawserv1.RequestID, []grpc.CallOption) (*hawserv1.Header, error)

func (c *Cluster) change(ctx context.Context, op, node string, once bool, send changeFunc) error {
	nonce := hawser.NewNonce()
	generation := c.client.generation.Load()
	return c.client.do(ctx, &call{
		op: op, key: node, write: true, once: once, leader: true, slow: changeTime,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			id := &hawserv1.RequestID{Nonce: nonce[:], Generation: generation, Attempt: s.attempt}
			return send(ctx, hawserv1.NewClusterClient(s.conn), id, s.options)
		},
	})
}
