// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// Acquire implements hawserv1.CoordinationServer.
func (s *Service) Acquire(ctx context.Context, r *hawserv1.AcquireRequest) (*hawserv1.AcquireResponse, error) {
	name, err := wire.ResourceFromProto(r.GetResource())
	if err != nil {
		return nil, err
	}
	id, err := wire.LeaseFromProto(r.GetLease())
	if err != nil {
		return nil, err
	}
	c := &fsm.Acquire{
		Resource: name, Lease: id, Priority: r.GetPriority(), Capacity: r.GetCapacity(), NoWait: r.GetNoWait(), Generation: r.GetGeneration(),
	}
	return coordinate(ctx, s, "acquire", name.String(), c, func(h *hawserv1.Header, result fsm.Result) *hawserv1.AcquireResponse {
		g := result.Grant
		resp := &hawserv1.AcquireResponse{Header: h, Granted: g.Granted, Token: g.Token, Seen: g.Seen, Position: uint32(g.Position)}
		if g.Head != nil {
			resp.Head = wire.VersionToProto(*g.Head)
		}
		return resp
	}, func(ctx context.Context, leader hawserv1.CoordinationClient) (*hawserv1.AcquireResponse, error) {
		return leader.Acquire(ctx, r)
	})
}

// Release implements hawserv1.CoordinationServer.
func (s *Service) Release(ctx context.Context, r *hawserv1.ReleaseRequest) (*hawserv1.ReleaseResponse, error) {
	name, err := wire.ResourceFromProto(r.GetResource())
	if err != nil {
		return nil, err
	}
	id, err := wire.LeaseFromProto(r.GetLease())
	if err != nil {
		return nil, err
	}
	c := &fsm.Release{Resource: name, Lease: id, Token: r.GetToken(), Generation: r.GetGeneration()}
	return coordinate(ctx, s, "release", name.String(), c, func(h *hawserv1.Header, result fsm.Result) *hawserv1.ReleaseResponse {
		return &hawserv1.ReleaseResponse{Header: h, Released: result.Released}
	}, func(ctx context.Context, leader hawserv1.CoordinationClient) (*hawserv1.ReleaseResponse, error) {
		return leader.Release(ctx, r)
	})
}

// Handover implements hawserv1.CoordinationServer.
func (s *Service) Handover(ctx context.Context, r *hawserv1.HandoverRequest) (*hawserv1.HandoverResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	if why := badText(r.GetTo(), hawser.MaxInstance); why != "" || r.GetTo() == "" {
		return nil, invalid("hand over", agent, "it needs the instance that takes over "+why)
	}
	c := &fsm.EndClaim{Agent: agent, Epoch: r.GetEpoch(), To: r.GetTo(), Reason: r.GetReason(), Generation: r.GetGeneration()}
	if err := checkReason("hand over", agent, r.GetReason()); err != nil {
		return nil, err
	}
	return coordinate(ctx, s, "hand over", agent.String(), c, func(h *hawserv1.Header, _ fsm.Result) *hawserv1.HandoverResponse {
		return &hawserv1.HandoverResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.CoordinationClient) (*hawserv1.HandoverResponse, error) {
		return leader.Handover(ctx, r)
	})
}

// Unclaim implements hawserv1.CoordinationServer.
func (s *Service) Unclaim(ctx context.Context, r *hawserv1.UnclaimRequest) (*hawserv1.UnclaimResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	if err := checkReason("unclaim", agent, r.GetReason()); err != nil {
		return nil, err
	}
	c := &fsm.EndClaim{Agent: agent, Epoch: r.GetEpoch(), Unclaim: true, Reason: r.GetReason(), Generation: r.GetGeneration()}
	return coordinate(ctx, s, "unclaim", agent.String(), c, func(h *hawserv1.Header, _ fsm.Result) *hawserv1.UnclaimResponse {
		return &hawserv1.UnclaimResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.CoordinationClient) (*hawserv1.UnclaimResponse, error) {
		return leader.Unclaim(ctx, r)
	})
}

func checkReason(op string, agent hawser.AgentID, reason string) error {
	if why := badText(reason, hawser.MaxReason); why != "" {
		return invalid(op, agent, fmt.Sprintf("the reason %s", why))
	}
	return nil
}
