// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// MakeCut implements hawserv1.CutsServer.
func (s *Service) MakeCut(ctx context.Context, r *hawserv1.MakeCutRequest) (*hawserv1.MakeCutResponse, error) {
	command, err := cutCommand(r)
	if err != nil {
		return nil, err
	}
	return cutting(ctx, s, "cut", command.Name, command, func(h *hawserv1.Header, result fsm.Result) *hawserv1.MakeCutResponse {
		return &hawserv1.MakeCutResponse{Header: h, Cut: wire.CutToProto(*result.Cut), Repeated: result.Repeated}
	}, func(ctx context.Context, leader hawserv1.CutsClient) (*hawserv1.MakeCutResponse, error) {
		return leader.MakeCut(ctx, r)
	})
}

// cutCommand checks r and returns the command that it makes.
func cutCommand(r *hawserv1.MakeCutRequest) (*fsm.MakeCut, error) {
	name, err := wire.AgentFromProto(r.GetName())
	if err != nil {
		return nil, fmt.Errorf("cut: %w", err)
	}
	refuse := func(code hawser.Code, format string, args ...any) (*fsm.MakeCut, error) {
		return nil, &hawser.Error{Code: code, Op: "cut", Key: name.String(), Msg: fmt.Sprintf(format, args...)}
	}
	if why := badText(r.GetLabel(), hawser.MaxCutLabel); why != "" {
		return refuse(hawser.CodeInvalid, "the label %s", why)
	}
	c := &fsm.MakeCut{Name: name, ByPrefix: r.GetByPrefix(), Label: r.GetLabel(), Generation: r.GetGeneration()}
	switch n := len(r.GetAgents()); {
	case c.ByPrefix == (n > 0) || !c.ByPrefix && r.GetPrefix() != "":
		return refuse(hawser.CodeInvalid, "it needs the names of agents, or a prefix, and not both")
	case n > hawser.MaxCutAgents:
		return refuse(hawser.CodeTooLarge, "%d agents, %d are possible", n, hawser.MaxCutAgents)
	}
	if c.Prefix, err = hawser.NewPrefix(r.GetPrefix()); err != nil {
		return nil, err
	}
	for _, text := range r.GetAgents() {
		agent, err := hawser.NewAgentID(name.Namespace, text)
		if err != nil {
			return nil, err
		}
		c.Agents = append(c.Agents, agent.Name)
	}
	slices.Sort(c.Agents)
	for i := range c.Agents {
		if i > 0 && c.Agents[i] == c.Agents[i-1] {
			return refuse(hawser.CodeInvalid, "agent %q is named twice", c.Agents[i])
		}
	}
	return c, nil
}

// RollbackTo implements hawserv1.CutsServer.
func (s *Service) RollbackTo(ctx context.Context, r *hawserv1.RollbackToRequest) (*hawserv1.RollbackToResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	name, err := wire.AgentFromProto(r.GetName())
	if err != nil {
		return nil, fmt.Errorf("cut: %w", err)
	}
	revision := r.GetRevision()
	id, err := wire.RequestFromProto(r.GetRequest(), hawser.RequestCutRollback, name, &revision)
	if err == nil {
		err = checkInstance("rollback", name, r.GetInstance())
	}
	if err == nil {
		err = checkReason("rollback", name, r.GetReason())
	}
	if err != nil {
		return nil, err
	}
	return route(ctx, b, call[*hawserv1.RollbackToResponse]{
		first: r.GetRequest().GetAttempt(), kind: id.Kind, unknown: unknownOutcome(id),
		local: func(ctx context.Context, attempt uint32) (*hawserv1.RollbackToResponse, error) {
			result, err := b.submit(ctx, &fsm.RollbackCut{
				Cut: name, Revision: revision, Request: requestOf(id, attempt), LeaveOut: r.GetLeaveOut(), Instance: r.GetInstance(), Reason: r.GetReason(),
			})
			if err != nil {
				return nil, err
			}
			return &hawserv1.RollbackToResponse{
				Header: b.header(b.Machine.Info(), result.Revision), Agents: agentRollbacks(result.Rollback.Agents),
				Repeated: result.Repeated, Time: timestamppb.New(result.Rollback.Time),
			}, nil
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, attempt uint32) (*hawserv1.RollbackToResponse, error) {
			r.GetRequest().Attempt = attempt
			return hawserv1.NewCutsClient(conn).RollbackTo(ctx, r)
		},
	})
}

func agentRollbacks(agents []hawser.AgentRollback) []*hawserv1.AgentRollback {
	messages := make([]*hawserv1.AgentRollback, len(agents))
	for i, a := range agents {
		messages[i] = wire.AgentRollbackToProto(a)
	}
	return messages
}

// DeleteCut implements hawserv1.CutsServer.
func (s *Service) DeleteCut(ctx context.Context, r *hawserv1.DeleteCutRequest) (*hawserv1.DeleteCutResponse, error) {
	name, err := wire.AgentFromProto(r.GetName())
	if err != nil {
		return nil, fmt.Errorf("cut: %w", err)
	}
	c := &fsm.DeleteCut{Cut: name, Revision: r.GetRevision(), Generation: r.GetGeneration()}
	return cutting(ctx, s, "delete cut", name, c, func(h *hawserv1.Header, result fsm.Result) *hawserv1.DeleteCutResponse {
		return &hawserv1.DeleteCutResponse{Header: h, Deleted: result.Released}
	}, func(ctx context.Context, leader hawserv1.CutsClient) (*hawserv1.DeleteCutResponse, error) {
		return leader.DeleteCut(ctx, r)
	})
}

// cutting takes a command about a cut to the leader. It is recognised when it
// comes again.
func cutting[T any](
	ctx context.Context, s *Service, op string, name hawser.AgentID, c fsm.Command, answer func(*hawserv1.Header, fsm.Result) T,
	remote func(context.Context, hawserv1.CutsClient) (T, error),
) (T, error) {
	return routeCommand(ctx, s, command[T]{
		op: op, key: name.String(), Command: c, answer: answer,
		remote: func(ctx context.Context, conn *grpc.ClientConn) (T, error) {
			return remote(ctx, hawserv1.NewCutsClient(conn))
		},
	})
}

// ShowCut implements hawserv1.CutsServer.
func (s *Service) ShowCut(ctx context.Context, r *hawserv1.ShowCutRequest) (*hawserv1.ShowCutResponse, error) {
	name, b, view, err := s.agentView(ctx, r.GetName(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	cut, err := view.Cut(name)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	return &hawserv1.ShowCutResponse{Header: b.header(info, info.Revision), Cut: wire.CutToProto(cut)}, nil
}

// PlanRollback implements hawserv1.CutsServer.
func (s *Service) PlanRollback(ctx context.Context, r *hawserv1.PlanRollbackRequest) (*hawserv1.PlanRollbackResponse, error) {
	name, b, view, err := s.agentView(ctx, r.GetName(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	plan, err := view.CutPlan(name)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	return &hawserv1.PlanRollbackResponse{Header: b.header(info, info.Revision), Agents: agentRollbacks(plan.Agents), Problem: plan.Problem}, nil
}

// ListCuts implements hawserv1.CutsServer.
func (s *Service) ListCuts(ctx context.Context, r *hawserv1.ListCutsRequest) (*hawserv1.ListCutsResponse, error) {
	namespace, _, err := scopeOf(r.GetNamespace(), "")
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageCuts, generation: info.Generation, scope: namespace}
	items, next, err := pageOf(list, r.GetPageToken(), r.GetLimit(), func(after string, limit int) ([]hawser.Cut, error) {
		return view.Cuts(namespace, after, limit)
	}, wire.CutToProto, func(x hawser.Cut) string { return x.Name.Name })
	if err != nil {
		return nil, err
	}
	return &hawserv1.ListCutsResponse{Header: b.header(info, info.Revision), Cuts: items, NextPageToken: next}, nil
}
