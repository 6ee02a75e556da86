// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"sort"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Status implements hawserv1.ClusterServer. It is about this node and is
// never forwarded. A node that does not belong to a cluster yet says what it
// waits for.
func (s *Service) Status(_ context.Context, _ *hawserv1.StatusRequest) (*hawserv1.StatusResponse, error) {
	b := s.backend.Load()
	if b == nil {
		return &hawserv1.StatusResponse{Header: &hawserv1.Header{}, Self: &hawserv1.Member{}, Reason: s.waiting()}, nil
	}
	resp := b.Describe()
	resp.Header = b.here()
	return resp, nil
}

// Members implements hawserv1.ClusterServer. Like Status it tells what this
// node knows.
func (s *Service) Members(_ context.Context, r *hawserv1.MembersRequest) (*hawserv1.MembersResponse, error) {
	b, err := s.ready()
	if err != nil {
		return nil, err
	}
	list := page{kind: pageMembers, generation: b.Machine.Info().Generation}
	after, err := list.parse(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	members := b.Describe().GetMembers()
	sort.Slice(members, func(i, j int) bool { return members[i].GetId() < members[j].GetId() })
	first := sort.Search(len(members), func(i int) bool { return members[i].GetId() > after })
	members = members[first:]
	resp := &hawserv1.MembersResponse{Header: b.here()}
	if limit := pageLimit(r.GetLimit()); len(members) > limit {
		members = members[:limit]
		resp.NextPageToken = list.token(members[limit-1].GetId())
	}
	resp.Members = members
	return resp, nil
}

// Promote implements hawserv1.ClusterServer.
func (s *Service) Promote(ctx context.Context, r *hawserv1.PromoteRequest) (*hawserv1.PromoteResponse, error) {
	return change(ctx, s, r.GetNode(), true, &hawserv1.PromoteResponse{}, func(ctx context.Context, b *Backend, resp *hawserv1.PromoteResponse) error {
		err := b.Members.Promote(ctx, r.GetNode(), r.GetExpectConfiguration())
		resp.Header = b.here()
		return err
	}, func(ctx context.Context, conn *grpc.ClientConn) (*hawserv1.PromoteResponse, error) {
		return hawserv1.NewClusterClient(conn).Promote(ctx, r)
	})
}

// Remove implements hawserv1.ClusterServer.
func (s *Service) Remove(ctx context.Context, r *hawserv1.RemoveRequest) (*hawserv1.RemoveResponse, error) {
	return change(ctx, s, r.GetNode(), true, &hawserv1.RemoveResponse{}, func(ctx context.Context, b *Backend, resp *hawserv1.RemoveResponse) error {
		err := b.Members.Remove(ctx, r.GetNode(), r.GetExpectConfiguration(), r.GetForce())
		resp.Header = b.here()
		return err
	}, func(ctx context.Context, conn *grpc.ClientConn) (*hawserv1.RemoveResponse, error) {
		return hawserv1.NewClusterClient(conn).Remove(ctx, r)
	})
}

// TransferLeadership implements hawserv1.ClusterServer.
func (s *Service) TransferLeadership(ctx context.Context, r *hawserv1.TransferLeadershipRequest) (*hawserv1.TransferLeadershipResponse, error) {
	return change(ctx, s, r.GetNode(), false, &hawserv1.TransferLeadershipResponse{}, func(ctx context.Context, b *Backend, resp *hawserv1.TransferLeadershipResponse) error {
		err := b.Members.Transfer(ctx, r.GetNode())
		resp.Header = b.here()
		return err
	}, func(ctx context.Context, conn *grpc.ClientConn) (*hawserv1.TransferLeadershipResponse, error) {
		return hawserv1.NewClusterClient(conn).TransferLeadership(ctx, r)
	})
}

// changeSize makes one attempt at a change of the configuration, which has to
// be committed and, for a transfer, to elect a leader, last as long as the
// routing budget allows.
const changeSize = 100 << 20

// changeBudget bounds all attempts at it.
const changeBudget = 15 * time.Second

// change runs a change of the cluster at the leader. A change of a node is safe
// to repeat: it names the state that it wants, not a step. One that names none,
// a transfer to whomever, is not. No repetition is recognised, so its refusal
// says nothing of the attempt before.
func change[T any](
	ctx context.Context, s *Service, node string, required bool, resp T,
	local func(context.Context, *Backend, T) error, remote func(context.Context, *grpc.ClientConn) (T, error),
) (T, error) {
	var zero T
	b, err := s.ready()
	if err != nil {
		return zero, err
	}
	if node == "" && required {
		return zero, &hawser.Error{Code: hawser.CodeInvalid, Op: "change of members", Msg: "names no node"}
	}
	return route(ctx, b, call[T]{
		size:   changeSize,
		budget: changeBudget,
		once:   node == "",
		local:  func(ctx context.Context, _ uint32) (T, error) { return resp, local(ctx, b, resp) },
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (T, error) { return remote(ctx, conn) },
		unknown: func(cause error) error {
			return &hawser.Error{
				Code: hawser.CodeOutcomeUnknown, Op: "change of members", Key: node, Msg: "look at the members before repeating it", Err: cause,
			}
		},
	})
}

// here returns the header of an answer about the node itself.
func (b *Backend) here() *hawserv1.Header {
	info := b.Machine.Info()
	return b.header(info, info.Revision)
}
