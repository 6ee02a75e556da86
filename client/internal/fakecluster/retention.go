// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// inside reports whether an agent is of a namespace, and below a prefix.
func inside(id hawser.AgentID, namespace, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return id.Namespace == namespace && (prefix == "" || id.Name == prefix || strings.HasPrefix(id.Name, prefix+"/"))
}

func (c *Cluster) idsLocked() []hawser.AgentID {
	return slices.SortedFunc(maps.Keys(c.agents), func(a, b hawser.AgentID) int { return strings.Compare(a.Name, b.Name) })
}

// SetRetention implements hawserv1.StateServer. Nothing is ever removed; a dry
// run counts what is beyond keep_last.
func (s *state) SetRetention(_ context.Context, r *hawserv1.SetRetentionRequest) (*hawserv1.SetRetentionResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	resp := &hawserv1.SetRetentionResponse{Header: s.node.headerLocked()}
	switch {
	case !r.GetDryRun() && r.GetRules() == nil:
		delete(c.policies, r.GetPrefix())
		return resp, nil
	case !r.GetDryRun():
		c.policies[r.GetPrefix()] = r.GetRules()
		return resp, nil
	}
	keep := wire.RulesFromProto(r.GetRules()).KeepLast
	for _, id := range c.idsLocked() {
		info := c.agents[id].info(id)
		if !inside(id, r.GetNamespace(), r.GetPrefix()) || keep == 0 || info.GetVersions() <= keep {
			continue
		}
		resp.Agents++
		resp.Versions += info.GetVersions() - keep
		resp.Bytes += info.GetStoredSize() / info.GetVersions() * (info.GetVersions() - keep)
	}
	return resp, nil
}

// Retention implements hawserv1.StateServer.
func (s *state) Retention(_ context.Context, r *hawserv1.RetentionRequest) (*hawserv1.RetentionResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	resp := &hawserv1.RetentionResponse{Header: s.node.headerLocked(), Rules: wire.RulesToProto(hawser.DefaultRetention())}
	asked := hawser.AgentID{Namespace: r.GetNamespace(), Name: r.GetPrefix()}
	for _, prefix := range slices.Sorted(maps.Keys(c.policies)) {
		policy := &hawserv1.RetentionPolicy{Namespace: r.GetNamespace(), Prefix: prefix, Rules: c.policies[prefix]}
		resp.Policies = append(resp.Policies, policy)
		if inside(asked, r.GetNamespace(), prefix) {
			resp.Rules, resp.Source = policy.GetRules(), policy
		}
	}
	return resp, nil
}
