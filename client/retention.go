// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// dryRunTime is what counting all versions of a large cluster may take.
const dryRunTime = time.Minute

// Pruning is what a retention policy would remove.
type Pruning struct {
	// Agents lose Versions. Bytes is what is stored for those; versions that
	// share what they are stored in free less.
	Agents, Versions uint64
	Bytes            int64
}

// EffectiveRetention is the retention of agents, and where it comes from.
type EffectiveRetention struct {
	Rules hawser.Retention
	// Source is the policy whose rules these are; nil for the default.
	Source *hawser.Policy
	// Policies are all of the namespace, by prefix.
	Policies []hawser.Policy
}

// SetRetention makes rules the retention of the agents of the client's
// namespace whose names start with the segments of prefix, all for none; the
// policy with the longest prefix counts. Rules without any value keep
// everything. What they do not keep is removed in the background, for good; try
// them with [DryRun], which returns what that would be and may
// take up to a minute longer.
//
// Errors: hawser.ErrRefused beyond hawser.MaxPolicies, hawser.ErrOutcomeUnknown
// when the policy may or may not be set now; set it again then. The last call
// wins, and a call is repeated when its answer is lost: what another client set
// meanwhile is overwritten then.
func (c *Client) SetRetention(ctx context.Context, prefix string, rules hawser.Retention, opts ...RetentionOption) (Pruning, error) {
	if rules.KeepWithin < 0 {
		return Pruning{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "set retention", Key: prefix, Msg: "KeepWithin is negative"}
	}
	return c.setRetention(ctx, "set retention", prefix, wire.RulesToProto(rules), opts)
}

// RemoveRetention removes the policy of exactly this prefix, so that the next
// shorter one counts, or hawser.DefaultRetention. There need not be one. Options
// and errors are those of [Client.SetRetention].
func (c *Client) RemoveRetention(ctx context.Context, prefix string, opts ...RetentionOption) (Pruning, error) {
	return c.setRetention(ctx, "remove retention", prefix, nil, opts)
}

func (c *Client) setRetention(ctx context.Context, op, prefix string, rules *hawserv1.RetentionRules, opts []RetentionOption) (Pruning, error) {
	var o retentionOptions
	for _, opt := range opts {
		opt.applyRetention(&o)
	}
	prefix, err := hawser.NewPrefix(prefix)
	if err != nil {
		return Pruning{}, err
	}
	req := &hawserv1.SetRetentionRequest{Namespace: c.cfg.Namespace, Prefix: prefix, Rules: rules, DryRun: o.dryRun}
	cl := &call{op: op, key: prefix, write: !o.dryRun, harmless: true, leader: true}
	timeout := c.cfg.RequestTimeout
	if o.dryRun {
		cl.slow = dryRunTime
		timeout += dryRunTime
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var resp *hawserv1.SetRetentionResponse
	cl.send = func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		var err error
		resp, err = hawserv1.NewStateClient(s.conn).SetRetention(ctx, req, s.options...)
		return resp.GetHeader(), err
	}
	err = c.run(ctx, within, cl)
	return Pruning{Agents: resp.GetAgents(), Versions: resp.GetVersions(), Bytes: int64(resp.GetBytes())}, err
}

// Retention returns the rules that count for the agents below prefix, for the
// namespace if it is empty, and all policies of the namespace.
func (c *Client) Retention(ctx context.Context, prefix string, opts ...ReadOption) (EffectiveRetention, error) {
	prefix, err := hawser.NewPrefix(prefix)
	if err != nil {
		return EffectiveRetention{}, err
	}
	o := showOptions(opts)
	req := &hawserv1.RetentionRequest{Namespace: c.cfg.Namespace, Prefix: prefix, Read: o.proto()}
	var resp *hawserv1.RetentionResponse
	err = c.do(ctx, &call{
		op: "retention", key: prefix, leader: !o.stale,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Retention(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return EffectiveRetention{}, err
	}
	r := EffectiveRetention{Rules: wire.RulesFromProto(resp.GetRules()), Policies: convert(resp.GetPolicies(), policyFromProto)}
	if resp.GetSource() != nil {
		source := policyFromProto(resp.GetSource())
		r.Source = &source
	}
	return r, nil
}

func policyFromProto(m *hawserv1.RetentionPolicy) hawser.Policy {
	return hawser.Policy{Namespace: m.GetNamespace(), Prefix: m.GetPrefix(), Retention: wire.RulesFromProto(m.GetRules())}
}
