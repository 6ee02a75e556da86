// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/health"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// maxReports is the most reports of one message of a KeepAlive.
	maxReports = 1024
	// maxHealthPage and maxFindingsPage are how many agents a page has at most.
	maxHealthPage, maxFindingsPage = 100, 100
	// findingsVersions and findingsEffects are how many versions and effects of an agent
	// are looked at, or a page more.
	findingsVersions, findingsEffects = 100, 2000
)

// ListHealth implements hawserv1.HealthServer.
func (s *Service) ListHealth(ctx context.Context, r *hawserv1.ListHealthRequest) (*hawserv1.ListHealthResponse, error) {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	var agent hawser.AgentID
	if r.GetName() != "" {
		if agent, err = wire.AgentFromProto(&hawserv1.Agent{Namespace: r.GetNamespace(), Name: r.GetName()}); err != nil {
			return nil, err
		}
	}
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	return route(ctx, b, call[*hawserv1.ListHealthResponse]{
		local: func(context.Context, uint32) (*hawserv1.ListHealthResponse, error) {
			if r.GetName() != "" {
				return b.agentHealth(agent)
			}
			return b.listHealth(r, namespace, prefix)
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (*hawserv1.ListHealthResponse, error) {
			return hawserv1.NewHealthClient(conn).ListHealth(ctx, r)
		},
		unknown: func(cause error) error {
			return &hawser.Error{Code: hawser.CodeUnavailable, Op: "list health", Msg: "the leader did not answer", Err: cause}
		},
	})
}

func (b *Backend) agentHealth(agent hawser.AgentID) (*hawserv1.ListHealthResponse, error) {
	info := b.Machine.Info()
	resp := &hawserv1.ListHealthResponse{Header: b.header(info, info.Revision)}
	var err error
	resp.Instances, err = b.named(b.Health.Agent(agent))
	return resp, err
}

func (b *Backend) listHealth(r *hawserv1.ListHealthRequest, namespace, prefix string) (*hawserv1.ListHealthResponse, error) {
	info := b.Machine.Info()
	list := page{kind: pageHealth, generation: info.Generation, scope: namespace + "\x00" + prefix}
	after, err := list.parse(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	limit := min(pageLimit(r.GetLimit()), maxHealthPage)
	found := b.Health.List(namespace, prefix, after, limit)
	resp := &hawserv1.ListHealthResponse{Header: b.header(info, info.Revision)}
	if n := agents(found); n == limit {
		resp.NextPageToken = list.token(found[len(found)-1].Agent.Name)
	}
	resp.Instances, err = b.named(found)
	return resp, err
}

// ListFindings implements hawserv1.HealthServer.
func (s *Service) ListFindings(ctx context.Context, r *hawserv1.ListFindingsRequest) (*hawserv1.ListFindingsResponse, error) {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	resp := &hawserv1.ListFindingsResponse{Header: b.header(info, info.Revision)}
	if r.GetName() != "" {
		agent, err := wire.AgentFromProto(&hawserv1.Agent{Namespace: r.GetNamespace(), Name: r.GetName()})
		if err != nil {
			return nil, err
		}
		return resp, addFindings(resp, view, agent, b.Now())
	}
	list := page{kind: pageFindings, generation: info.Generation, scope: namespace + "\x00" + prefix}
	after, err := list.parse(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	limit := min(pageLimit(r.GetLimit()), maxFindingsPage)
	found, err := view.Agents(namespace, prefix, after, limit)
	if err != nil {
		return nil, err
	}
	if len(found) == limit {
		resp.NextPageToken = list.token(found[limit-1].ID.Name)
	}
	for _, a := range found {
		if err := ctx.Err(); err != nil {
			return nil, wire.FromStatus(err)
		}
		if err := addFindings(resp, view, a.ID, b.Now()); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// addFindings looks at an agent, and tells if there is something.
func addFindings(resp *hawserv1.ListFindingsResponse, view *fsm.View, agent hawser.AgentID, now time.Time) error {
	h := health.History{Now: now}
	var err error
	if h.Versions, err = view.Versions(agent, 0, findingsVersions); err != nil {
		return err
	}
	holding, _, err := view.Holding(hawser.Resource{Kind: hawser.ResourceClaim, Name: agent})
	if err != nil {
		return err
	}
	h.Owned = len(holding.Holders) > 0
	for after := ""; len(h.Effects) < findingsEffects; after = h.Effects[len(h.Effects)-1].ID {
		effects, err := view.Effects(agent, after, hawser.MaxPage)
		if err != nil {
			return err
		}
		if h.Effects = append(h.Effects, effects...); len(effects) < hawser.MaxPage {
			break
		}
	}
	if found := health.Findings(h); len(found) > 0 {
		resp.Agents = append(resp.Agents, wire.FindingsToProto(hawser.AgentFindings{Agent: agent, Findings: found}))
	}
	return nil
}

// agents counts the agents of instances that are in the order of their agents.
func agents(list []hawser.InstanceHealth) (n int) {
	for i := range list {
		if i == 0 || list[i].Agent != list[i-1].Agent {
			n++
		}
	}
	return n
}

// named adds the names of the instances, which the machine knows.
func (b *Backend) named(list []hawser.InstanceHealth) ([]*hawserv1.InstanceHealth, error) {
	view, err := b.Machine.View()
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	out := make([]*hawserv1.InstanceHealth, 0, len(list))
	for i := range list {
		l, ok, err := view.Lease(list[i].Lease)
		if err != nil {
			return nil, err
		}
		if ok {
			list[i].Instance = l.Instance
			out = append(out, wire.InstanceHealthToProto(list[i]))
		}
	}
	return out, nil
}

// Note implements hawserv1.HealthServer.
func (s *Service) Note(ctx context.Context, r *hawserv1.NoteRequest) (*hawserv1.NoteResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	kind := hawser.EventKind(r.GetKind())
	if uint32(kind) != r.GetKind() || kind != hawser.EventRuntimeStateBad && kind != hawser.EventRuntimeRecovery {
		return nil, invalid("note", agent, "its kind is not one of the runtime's")
	}
	if why := badText(r.GetInstance(), hawser.MaxInstance); why != "" {
		return nil, invalid("note", agent, "the instance "+why)
	}
	if err := checkReason("note", agent, r.GetReason()); err != nil {
		return nil, err
	}
	c := &fsm.Note{Agent: agent, Kind: kind, Number: r.GetNumber(), Instance: r.GetInstance(), Reason: r.GetReason(), Generation: r.GetGeneration()}
	return routeCommand(ctx, s, command[*hawserv1.NoteResponse]{
		op: "note", key: agent.String(), Command: c, advice: "repeating it may record it twice",
		answer: func(h *hawserv1.Header, _ fsm.Result) *hawserv1.NoteResponse {
			return &hawserv1.NoteResponse{Header: h}
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn) (*hawserv1.NoteResponse, error) {
			return hawserv1.NewHealthClient(conn).Note(ctx, r)
		},
	})
}

// noteHealth takes the reports of leases that were renewed.
func (b *Backend) noteHealth(reports []*hawserv1.HealthReport, renewed, expired []hawser.LeaseID) error {
	if len(reports) == 0 {
		return nil
	}
	live := make(map[hawser.LeaseID]bool, len(renewed))
	for _, id := range renewed {
		live[id] = true
	}
	for _, id := range expired {
		delete(live, id)
	}
	list := make([]health.Report, 0, len(reports))
	for _, m := range reports {
		r, err := wire.HealthReportFromProto(m)
		if err != nil {
			return err
		}
		if live[r.Lease] {
			list = append(list, health.Report{Lease: r.Lease, Agent: r.Agent, HealthReport: r.HealthReport})
		}
	}
	b.Health.Note(list)
	return nil
}

// checkReports refuses a message with too many.
func checkReports(reports []*hawserv1.HealthReport) error {
	if len(reports) <= maxReports {
		return nil
	}
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "keep alive", Msg: fmt.Sprintf("%d reports, %d are possible", len(reports), maxReports)}
}
