// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// Show implements hawserv1.StateServer.
func (s *Service) Show(ctx context.Context, r *hawserv1.ShowRequest) (*hawserv1.ShowResponse, error) {
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	found, err := view.Agent(agent)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	resp := &hawserv1.ShowResponse{Header: b.header(info, info.Revision), Agent: wire.AgentInfoToProto(found)}
	if r.GetVersion() == 0 {
		resp.Version = resp.GetAgent().GetVersion()
		return resp, nil
	}
	version, err := view.Version(agent, r.GetVersion())
	if err != nil {
		return nil, err
	}
	resp.Version = wire.VersionToProto(version)
	return resp, nil
}

// Agents implements hawserv1.StateServer.
func (s *Service) Agents(ctx context.Context, r *hawserv1.AgentsRequest) (*hawserv1.AgentsResponse, error) {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageAgents, generation: info.Generation, scope: namespace + "\x00" + prefix}
	items, next, err := pageOf(list, r.GetPageToken(), r.GetLimit(), func(after string, limit int) ([]hawser.Agent, error) {
		return view.Agents(namespace, prefix, after, limit)
	}, wire.AgentInfoToProto, func(x hawser.Agent) string { return x.ID.Name })
	if err != nil {
		return nil, err
	}
	return &hawserv1.AgentsResponse{Header: b.header(info, info.Revision), Agents: items, NextPageToken: next}, nil
}

// Versions implements hawserv1.StateServer.
func (s *Service) Versions(ctx context.Context, r *hawserv1.VersionsRequest) (*hawserv1.VersionsResponse, error) {
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageVersions, generation: info.Generation, scope: agent.Namespace + "\x00" + agent.Name}
	items, next, err := pageOf(list, r.GetPageToken(), r.GetLimit(), func(last string, limit int) ([]hawser.Version, error) {
		before, err := numberOf(last)
		if err != nil {
			return nil, err
		}
		return view.Versions(agent, before, limit)
	}, wire.VersionToProto, func(x hawser.Version) string { return numberText(x.Number) })
	if err != nil {
		return nil, err
	}
	return &hawserv1.VersionsResponse{Header: b.header(info, info.Revision), Versions: items, NextPageToken: next}, nil
}

// Outcome implements hawserv1.StateServer. It is always linearizable.
func (s *Service) Outcome(ctx context.Context, r *hawserv1.OutcomeRequest) (*hawserv1.OutcomeResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	id, err := wire.RequestFromProto(r.GetRequest(), enum[hawser.RequestKind](r.GetKind()), agent, r.ExpectVersion)
	if err == nil && id.Kind == hawser.RequestCutRollback {
		err = invalid("outcome", agent, "what became of a rollback to a cut is told of the cut, or by repeating it")
	}
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	resp := &hawserv1.OutcomeResponse{Header: b.header(info, info.Revision)}
	outcome, err := view.Outcome(agent, id.Kind, requestOf(id, r.GetRequest().GetAttempt()), id.Expect)
	if err != nil {
		return nil, err
	}
	switch outcome.State {
	case fsm.OutcomeDone:
		resp.Outcome, resp.Number = hawserv1.OutcomeResponse_OUTCOME_DONE, outcome.Number
		if id.Kind.MakesVersion() {
			resp.Version = wire.VersionToProto(outcome.Version)
		}
	case fsm.OutcomeNotDone:
		resp.Outcome = hawserv1.OutcomeResponse_OUTCOME_NOT_DONE
	case fsm.OutcomeExpired:
		resp.Outcome = hawserv1.OutcomeResponse_OUTCOME_EXPIRED
	}
	return resp, nil
}

// agentView returns the agent that m names and a view in which to look at it.
func (s *Service) agentView(ctx context.Context, m *hawserv1.Agent, o *hawserv1.ReadOptions) (hawser.AgentID, *Backend, *fsm.View, error) {
	agent, err := wire.AgentFromProto(m)
	if err != nil {
		return agent, nil, nil, err
	}
	b, view, err := s.view(ctx, o)
	return agent, b, view, err
}

// view returns a snapshot of the machine that is as new as o asks. The caller
// closes it.
func (s *Service) view(ctx context.Context, o *hawserv1.ReadOptions) (*Backend, *fsm.View, error) {
	b, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	if o.GetConsistency() == hawserv1.Consistency_CONSISTENCY_LINEARIZABLE {
		err = b.linearizable(ctx)
	} else if err = sameGeneration(o, b.Machine.Info()); err == nil { // else the revision may never come
		waiting, cancel := withBudget(ctx, routeBudget)
		defer cancel()
		err = b.atLeast(waiting, hawser.Revision(o.GetMinRevision()))
	}
	if err != nil {
		return nil, nil, err
	}
	view, err := b.Machine.View()
	if err != nil {
		return nil, nil, err
	}
	now := view.Info() // an import may have begun meanwhile
	if err = sameGeneration(o, now); now.Importing {
		err = errImporting()
	}
	if err != nil {
		closeView(view)
		return nil, nil, err
	}
	return b, view, err
}

// sameGeneration reports what is wrong with the generation that is asked for, 0
// for any.
func sameGeneration(o *hawserv1.ReadOptions, now fsm.Info) error {
	switch {
	case now.Generation == 0:
		return errEmpty()
	case o.GetGeneration() == 0 || o.GetGeneration() == uint64(now.Generation):
		return nil
	}
	return &hawser.Error{
		Code: hawser.CodeWrongGeneration, Op: "read", Msg: "what is asked for is of another life of this cluster; read again without its generation",
	}
}

// errEmpty is the answer of a node that has applied nothing since it started. It is
// behind, and knows no generation: it must not say that something is not there,
// nor that it is of another life.
func errEmpty() error {
	return &hawser.Error{Code: hawser.CodeUnavailable, Msg: "this node has just started and holds nothing yet; ask another one, or again"}
}

// linearizable waits for a linearizable point, over elections as far as the
// caller's time and the routing budget allow.
func (b *Backend) linearizable(ctx context.Context) error {
	ctx, cancel := withBudget(ctx, routeBudget)
	defer cancel()
	for {
		err := b.Reads.Wait(ctx)
		if retry, _ := judge(err); err == nil || !retry {
			return err
		}
		if pause(ctx) != nil {
			return err
		}
	}
}

// atLeast waits until the machine has revision r.
func (b *Backend) atLeast(ctx context.Context, r hawser.Revision) error {
	for b.Machine.Info().Revision < r {
		applied, _ := b.Machine.Applied()
		if b.Machine.Info().Revision >= r {
			return nil
		}
		if err := b.Machine.Wait(ctx, applied+1); err != nil {
			if ctx.Err() == nil {
				return err // the machine is closed or stopped
			}
			return &hawser.Error{
				Code: hawser.CodeDeadline, Op: "stale read", Msg: "this node does not have the revision asked for yet", Err: err,
			}
		}
	}
	return nil
}

func closeView(v *fsm.View) { _ = v.Close() }
