// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// Rollback implements hawserv1.StateServer.
func (s *Service) Rollback(ctx context.Context, r *hawserv1.RollbackRequest) (*hawserv1.RollbackResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	id, err := wire.RequestFromProto(r.GetRequest(), hawser.RequestRollback, agent, r.ExpectVersion)
	if err == nil && r.GetVersion() == 0 {
		err = invalid("rollback", agent, "names no version to return to")
	}
	if err == nil {
		err = checkInstance("rollback", agent, r.GetInstance())
	}
	if err != nil {
		return nil, err
	}
	return identified(ctx, b, r.GetRequest(), id, func(ctx context.Context, q fsm.Request) (*hawserv1.RollbackResponse, error) {
		result, err := b.submit(ctx, &fsm.Rollback{Agent: agent, Request: q, Expect: id.Expect, Number: r.GetVersion(), Instance: r.GetInstance(), Fence: r.GetFence(), Force: r.GetForce()})
		if err != nil {
			return nil, err
		}
		return &hawserv1.RollbackResponse{
			Header: b.header(b.Machine.Info(), result.Revision), Version: wire.VersionToProto(result.Version), Repeated: result.Repeated,
		}, nil
	}, func(ctx context.Context, leader hawserv1.StateClient) (*hawserv1.RollbackResponse, error) {
		return leader.Rollback(ctx, r)
	})
}

// Fork implements hawserv1.StateServer.
func (s *Service) Fork(ctx context.Context, r *hawserv1.ForkRequest) (*hawserv1.ForkResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	source, err := wire.AgentFromProto(r.GetSource())
	if err != nil {
		return nil, err
	}
	id, err := wire.RequestFromProto(r.GetRequest(), hawser.RequestFork, agent, nil)
	if err == nil {
		err = checkInstance("fork", agent, r.GetInstance())
	}
	if err != nil {
		return nil, err
	}
	return identified(ctx, b, r.GetRequest(), id, func(ctx context.Context, q fsm.Request) (*hawserv1.ForkResponse, error) {
		result, err := b.submit(ctx, &fsm.Fork{Agent: agent, Request: q, Source: source, Number: r.GetSourceVersion(), Instance: r.GetInstance(), Fence: r.GetFence()})
		if err != nil {
			return nil, err
		}
		return &hawserv1.ForkResponse{
			Header: b.header(b.Machine.Info(), result.Revision), Version: wire.VersionToProto(result.Version), Repeated: result.Repeated,
		}, nil
	}, func(ctx context.Context, leader hawserv1.StateClient) (*hawserv1.ForkResponse, error) {
		return leader.Fork(ctx, r)
	})
}

// Pin implements hawserv1.StateServer. It names the state that it wants, so a
// repetition is harmless and needs no id.
func (s *Service) Pin(ctx context.Context, r *hawserv1.PinRequest) (*hawserv1.PinResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err == nil && r.GetVersion() == 0 {
		err = invalid("pin", agent, "names no version")
	}
	if err != nil {
		return nil, err
	}
	return route(ctx, b, call[*hawserv1.PinResponse]{
		local: func(ctx context.Context, _ uint32) (*hawserv1.PinResponse, error) {
			result, err := b.submit(ctx, &fsm.Pin{Agent: agent, Number: r.GetVersion(), Pinned: r.GetPinned()})
			if err != nil {
				return nil, err
			}
			return &hawserv1.PinResponse{
				Header: b.header(b.Machine.Info(), result.Revision), Version: wire.VersionToProto(result.Version),
			}, nil
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (*hawserv1.PinResponse, error) {
			return hawserv1.NewStateClient(conn).Pin(ctx, r)
		},
		unknown: func(cause error) error {
			return &hawser.Error{
				Code: hawser.CodeOutcomeUnknown, Op: "pin", Key: agent.String(), Msg: "it may have been executed; repeating it is harmless", Err: cause,
			}
		},
	})
}

func checkInstance(op string, agent hawser.AgentID, instance string) error {
	if why := badText(instance, hawser.MaxInstance); why != "" {
		return invalid(op, agent, "instance "+why)
	}
	return nil
}

func invalid(op string, agent hawser.AgentID, msg string) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: op, Key: agent.String(), Msg: msg}
}

const (
	// defaultImpact and maxImpact bound the agents of an answer, and
	// maxAffected the versions of one of them.
	defaultImpact = 1000
	maxImpact     = 10_000
	maxAffected   = 1000
	// maxImpacts bounds those under way: one may hold some tens of megabytes.
	maxImpacts = 2
)

// Impact implements hawserv1.StateServer.
func (s *Service) Impact(ctx context.Context, r *hawserv1.ImpactRequest) (*hawserv1.ImpactResponse, error) {
	release, err := occupy(s.impacts, "impact")
	if err != nil {
		return nil, err
	}
	defer release()
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	if r.GetVersion() == 0 {
		return nil, invalid("impact", agent, "names no version")
	}
	limit := defaultImpact
	if asked := r.GetLimit(); asked != 0 {
		limit = int(min(asked, maxImpact))
	}
	affected, truncated, err := view.Impact(ctx, hawser.VersionRef{Agent: agent, Number: r.GetVersion()}, limit)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	resp := &hawserv1.ImpactResponse{Header: b.header(info, info.Revision), Truncated: truncated}
	for _, a := range affected {
		m := &hawserv1.Affected{Agent: wire.AgentToProto(a.Agent), Versions: a.Versions[:min(len(a.Versions), maxAffected)]}
		if !a.Via.IsZero() {
			m.Via = wire.RefToProto(a.Via)
		}
		resp.Affected = append(resp.Affected, m)
	}
	if n := fitting(resp.GetAffected()); n < len(resp.GetAffected()) {
		resp.Affected, resp.Truncated = resp.GetAffected()[:n], true
	}
	return resp, nil
}
