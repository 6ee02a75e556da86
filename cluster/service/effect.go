// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// BeginEffect implements hawserv1.EffectsServer.
func (s *Service) BeginEffect(ctx context.Context, r *hawserv1.BeginEffectRequest) (*hawserv1.BeginEffectResponse, error) {
	agent, err := effectOf(r.GetAgent(), r.GetId())
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) (*hawserv1.BeginEffectResponse, error) {
		return nil, invalidEffect("begin effect", agent, r.GetId(), format, args...)
	}
	c := &fsm.BeginEffect{
		Agent: agent, ID: r.GetId(), Policy: enum[hawser.EffectPolicy](r.GetPolicy()), Description: r.GetDescription(), Instance: r.GetInstance(),
		Fence: r.GetFence(), Generation: r.GetGeneration(),
	}
	switch n := len(r.GetInput()); {
	case len(r.GetNonce()) != len(c.Nonce):
		return refuse("needs a nonce of %d bytes, and has %d", len(c.Nonce), len(r.GetNonce()))
	case !c.Policy.Valid():
		return refuse("says nothing, or nothing that this node knows, of what to do if it is unknown: ask, retry or skip")
	case n != 0 && n != len(c.Input):
		return refuse("the input's SHA-256 has %d bytes", n)
	case n != 0:
		c.Input = hawser.Hash(r.GetInput())
	}
	if why := badText(c.Description, hawser.MaxEffectDescription); why != "" {
		return refuse("the description %s", why)
	}
	if err := checkInstance("begin effect", agent, c.Instance); err != nil {
		return nil, err
	}
	c.Nonce = hawser.Nonce(r.GetNonce())
	return journalling(ctx, s, "begin effect", agent, r.GetId(), r, c, func(h *hawserv1.Header, res fsm.Result) *hawserv1.BeginEffectResponse {
		return &hawserv1.BeginEffectResponse{Header: h, Effect: wire.EffectToProto(*res.Effect), Run: res.Begun}
	}, func(ctx context.Context, leader hawserv1.EffectsClient) (*hawserv1.BeginEffectResponse, error) {
		return leader.BeginEffect(ctx, r)
	})
}

// FinishEffect implements hawserv1.EffectsServer.
func (s *Service) FinishEffect(ctx context.Context, r *hawserv1.FinishEffectRequest) (*hawserv1.FinishEffectResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	ends, err := effectEnds("finish effect", agent, []*hawserv1.EffectEnd{r.GetEnd()})
	if err != nil {
		return nil, err
	}
	c := &fsm.FinishEffect{Agent: agent, End: ends[0], Fence: r.GetFence(), Generation: r.GetGeneration()}
	return journalling(ctx, s, "finish effect", agent, ends[0].ID, r, c, func(h *hawserv1.Header, res fsm.Result) *hawserv1.FinishEffectResponse {
		return &hawserv1.FinishEffectResponse{Header: h, Effect: wire.EffectToProto(*res.Effect)}
	}, func(ctx context.Context, leader hawserv1.EffectsClient) (*hawserv1.FinishEffectResponse, error) {
		return leader.FinishEffect(ctx, r)
	})
}

// ResolveEffect implements hawserv1.EffectsServer.
func (s *Service) ResolveEffect(ctx context.Context, r *hawserv1.ResolveEffectRequest) (*hawserv1.ResolveEffectResponse, error) {
	agent, err := effectOf(r.GetAgent(), r.GetId())
	if err != nil {
		return nil, err
	}
	refuse := func(code hawser.Code, format string, args ...any) (*hawserv1.ResolveEffectResponse, error) {
		return nil, &hawser.Error{Code: code, Op: "resolve effect", Key: agent.String() + " " + r.GetId(), Msg: fmt.Sprintf(format, args...)}
	}
	c := &fsm.ResolveEffect{
		Agent: agent, ID: r.GetId(), State: enum[hawser.EffectState](r.GetState()), Result: r.GetResult(), Reason: r.GetReason(), Force: r.GetForce(),
		Generation: r.GetGeneration(),
	}
	switch {
	case c.State != hawser.EffectRetry && !c.State.Finished():
		return refuse(hawser.CodeInvalid, "an effect is resolved as done, failed, or to be run again")
	case c.State != hawser.EffectDone && len(c.Result) > 0:
		return refuse(hawser.CodeInvalid, "an effect that is not done has no result")
	case len(c.Result) > hawser.MaxEffectResult:
		return refuse(hawser.CodeTooLarge, "a result of %d bytes, at most %d are possible", len(c.Result), hawser.MaxEffectResult)
	case c.Reason == "":
		return refuse(hawser.CodeInvalid, "the reason is missing")
	}
	if why := badText(c.Reason, hawser.MaxReason); why != "" {
		return refuse(hawser.CodeInvalid, "the reason %s", why)
	}
	return journalling(ctx, s, "resolve effect", agent, r.GetId(), r, c, func(h *hawserv1.Header, res fsm.Result) *hawserv1.ResolveEffectResponse {
		return &hawserv1.ResolveEffectResponse{Header: h, Effect: wire.EffectToProto(*res.Effect)}
	}, func(ctx context.Context, leader hawserv1.EffectsClient) (*hawserv1.ResolveEffectResponse, error) {
		return leader.ResolveEffect(ctx, r)
	})
}

// ForgetEffects implements hawserv1.EffectsServer.
func (s *Service) ForgetEffects(ctx context.Context, r *hawserv1.ForgetEffectsRequest) (*hawserv1.ForgetEffectsResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err == nil && r.GetVersion() == 0 {
		err = invalidEffect("forget effects", agent, "", "needs the number of a version; they count from 1")
	}
	if err != nil {
		return nil, err
	}
	c := &fsm.ForgetEffects{Agent: agent, Version: r.GetVersion(), Fence: r.GetFence(), Generation: r.GetGeneration()}
	return journalling(ctx, s, "forget effects", agent, "", r, c, func(h *hawserv1.Header, res fsm.Result) *hawserv1.ForgetEffectsResponse {
		return &hawserv1.ForgetEffectsResponse{Header: h, Forgotten: res.Pruned, More: res.More}
	}, func(ctx context.Context, leader hawserv1.EffectsClient) (*hawserv1.ForgetEffectsResponse, error) {
		return leader.ForgetEffects(ctx, r)
	})
}

// ListEffects implements hawserv1.EffectsServer.
func (s *Service) ListEffects(ctx context.Context, r *hawserv1.ListEffectsRequest) (*hawserv1.ListEffectsResponse, error) {
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageEffects, generation: info.Generation, scope: agent.String()}
	items, next, err := pageOf(list, r.GetPageToken(), r.GetLimit(), func(after string, limit int) ([]hawser.Effect, error) {
		return view.Effects(agent, after, limit)
	}, wire.EffectToProto, func(x hawser.Effect) string { return x.ID })
	if err != nil {
		return nil, err
	}
	return &hawserv1.ListEffectsResponse{Header: b.header(info, info.Revision), Effects: items, NextPageToken: next}, nil
}

// ShowEffect implements hawserv1.EffectsServer.
func (s *Service) ShowEffect(ctx context.Context, r *hawserv1.ShowEffectRequest) (*hawserv1.ShowEffectResponse, error) {
	if err := hawser.CheckEffectID(r.GetId()); err != nil {
		return nil, err
	}
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	e, err := view.Effect(agent, r.GetId())
	if err != nil {
		return nil, err
	}
	info := view.Info()
	return &hawserv1.ShowEffectResponse{Header: b.header(info, info.Revision), Effect: wire.EffectToProto(e)}, nil
}

// effectOf returns the agent of a call about one of its effects.
func effectOf(m *hawserv1.Agent, id string) (hawser.AgentID, error) {
	agent, err := wire.AgentFromProto(m)
	if err == nil {
		err = hawser.CheckEffectID(id)
	}
	return agent, err
}

// effectEnds checks how effects are said to have ended.
func effectEnds(op string, agent hawser.AgentID, list []*hawserv1.EffectEnd) ([]fsm.EffectEnd, error) {
	if n := len(list); n > hawser.MaxEffectsPerSave {
		return nil, invalidEffect(op, agent, "", "the ends of %d effects, at most %d are possible", n, hawser.MaxEffectsPerSave)
	}
	var ends []fsm.EffectEnd
	size, seen := 0, map[string]bool{}
	for _, m := range list {
		if err := hawser.CheckEffectID(m.GetId()); err != nil {
			return nil, err
		}
		why := badText(m.GetReason(), hawser.MaxReason)
		switch {
		case why != "":
			return nil, invalidEffect(op, agent, m.GetId(), "the reason %s", why)
		case m.GetFailed() && (m.GetReason() == "" || len(m.GetResult()) > 0), !m.GetFailed() && m.GetReason() != "":
			return nil, invalidEffect(op, agent, m.GetId(), "one that failed has a reason, and one that is done may have a result")
		case seen[m.GetId()]:
			return nil, invalidEffect(op, agent, m.GetId(), "is ended twice")
		}
		seen[m.GetId()] = true
		size += len(m.GetResult()) + len(m.GetReason())
		ends = append(ends, fsm.EffectEnd{ID: m.GetId(), Failed: m.GetFailed(), Reason: m.GetReason(), Result: m.GetResult()})
	}
	if size > hawser.MaxEffectResult {
		return nil, &hawser.Error{
			Code: hawser.CodeTooLarge, Op: op, Key: agent.String(),
			Msg: fmt.Sprintf("results of %d bytes, at most %d are possible; keep what is longer elsewhere and record where", size, hawser.MaxEffectResult),
		}
	}
	return ends, nil
}

func invalidEffect(op string, agent hawser.AgentID, id, format string, args ...any) error {
	key := agent.String()
	if id != "" {
		key += " " + id
	}
	return &hawser.Error{Code: hawser.CodeInvalid, Op: op, Key: key, Msg: fmt.Sprintf(format, args...)}
}

// journalling takes a command about an effect to the leader. All of them are
// recognised when they come again.
func journalling[T any](
	ctx context.Context, s *Service, op string, agent hawser.AgentID, id string, r proto.Message, c fsm.Command,
	answer func(*hawserv1.Header, fsm.Result) T, remote func(context.Context, hawserv1.EffectsClient) (T, error),
) (T, error) {
	return routeCommand(ctx, s, command[T]{
		op: op, key: agent.String() + " " + id, Command: c, size: proto.Size(r), answer: answer,
		remote: func(ctx context.Context, conn *grpc.ClientConn) (T, error) {
			return remote(ctx, hawserv1.NewEffectsClient(conn))
		},
	})
}

// effectsMessage is how many bytes of effects go into one message of a restore.
const effectsMessage = 128 << 10

// effects sends what whoever restores the version has to know of effects.
func (r restoring) effects() error {
	m, size := &hawserv1.RestoreResponse{}, 0
	err := r.view.EffectsAt(r.ref.Agent, r.ref.Number, func(e hawser.Effect) error {
		one := wire.EffectToProto(e)
		if size += proto.Size(one); size > effectsMessage && len(m.GetEffects()) > 0 {
			if err := r.send(m); err != nil {
				return err
			}
			m, size = &hawserv1.RestoreResponse{}, proto.Size(one)
		}
		m.Effects = append(m.Effects, one)
		return nil
	})
	if err != nil || len(m.GetEffects()) == 0 {
		return err
	}
	return r.send(m)
}
