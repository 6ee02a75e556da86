// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// SetRetention implements hawserv1.StateServer. Like Pin it names the state
// that it wants.
func (s *Service) SetRetention(ctx context.Context, r *hawserv1.SetRetentionRequest) (*hawserv1.SetRetentionResponse, error) {
	policy, err := policyOf(r)
	if err != nil {
		return nil, err
	}
	if r.GetDryRun() {
		return s.tryRetention(ctx, policy)
	}
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	return route(ctx, b, call[*hawserv1.SetRetentionResponse]{
		local: func(ctx context.Context, _ uint32) (*hawserv1.SetRetentionResponse, error) {
			result, err := b.submit(ctx, policy)
			if err != nil {
				return nil, err
			}
			return &hawserv1.SetRetentionResponse{Header: b.header(b.Machine.Info(), result.Revision)}, nil
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (*hawserv1.SetRetentionResponse, error) {
			return hawserv1.NewStateClient(conn).SetRetention(ctx, r)
		},
		unknown: func(cause error) error {
			return &hawser.Error{
				Code: hawser.CodeOutcomeUnknown, Op: "retention", Key: policy.Prefix, Msg: "it may have been set; repeating it is harmless", Err: cause,
			}
		},
	})
}

// policyOf checks r and returns the command that it makes.
func policyOf(r *hawserv1.SetRetentionRequest) (*fsm.SetRetention, error) {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	policy := &fsm.SetRetention{Namespace: namespace, Prefix: strings.TrimSuffix(prefix, "/")}
	if r.GetRules() == nil {
		return policy, nil
	}
	if within := r.GetRules().GetKeepWithin(); within != nil && (within.CheckValid() != nil || within.AsDuration() < 0) {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "retention", Key: prefix, Msg: "keep-within is negative or malformed"}
	}
	rules := wire.RulesFromProto(r.GetRules())
	policy.Rules = &rules
	return policy, nil
}

// tryRetention adds up what would be removed at this moment if the policy were
// set.
func (s *Service) tryRetention(ctx context.Context, policy *fsm.SetRetention) (*hawserv1.SetRetentionResponse, error) {
	b, view, err := s.view(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	resp := &hawserv1.SetRetentionResponse{Header: b.header(info, info.Revision)}
	var after hawser.AgentID
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var items []fsm.Prunable
		items, after, more, err = view.PruneDryRun(policy.Namespace, policy.Prefix, policy.Rules, after, 0, info.Time)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			resp.Agents++
			resp.Versions += item.Versions
			resp.Bytes += item.Bytes
		}
	}
	return resp, nil
}

// Retention implements hawserv1.StateServer.
func (s *Service) Retention(ctx context.Context, r *hawserv1.RetentionRequest) (*hawserv1.RetentionResponse, error) {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	policies, err := view.Policies(namespace)
	if err != nil {
		return nil, err
	}
	rules, source, err := view.RetentionOf(hawser.AgentID{Namespace: namespace, Name: prefix})
	if err != nil {
		return nil, err
	}
	info := view.Info()
	resp := &hawserv1.RetentionResponse{Header: b.header(info, info.Revision), Rules: wire.RulesToProto(rules)}
	for _, p := range policies {
		resp.Policies = append(resp.Policies, policyToProto(p))
	}
	if source != nil {
		resp.Source = policyToProto(*source)
	}
	return resp, nil
}

func policyToProto(p hawser.Policy) *hawserv1.RetentionPolicy {
	return &hawserv1.RetentionPolicy{Namespace: p.Namespace, Prefix: p.Prefix, Rules: wire.RulesToProto(p.Retention)}
}
