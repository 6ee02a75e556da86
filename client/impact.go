// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Impact is what rests on a version.
type Impact struct {
	Affected []Affected
	// Truncated says that there are more agents.
	Truncated bool
}

// Affected is an agent with versions that rest on a given one.
type Affected struct {
	Agent hawser.AgentID
	// Versions are their numbers, ascending; at most 1,000.
	Versions []uint64
	// Via is what the first of them was computed from.
	Via hawser.VersionRef
}

// Impact returns what was computed from a version, directly or not: by
// [DerivedFrom], by a fork or rollback, or by saving on after it. [Limit] bounds
// the agents, 1,000 by default and 10,000 at most. Errors: hawser.ErrNotFound,
// hawser.ErrVersionGone.
func (c *Client) Impact(ctx context.Context, ref hawser.VersionRef, opts ...ListOption) (Impact, error) {
	if err := checkNumber("impact", ref.Agent, ref.Number); err != nil {
		return Impact{}, err
	}
	o := listOptions(opts)
	req := &hawserv1.ImpactRequest{
		Agent: wire.AgentToProto(ref.Agent), Version: ref.Number, Limit: uint32(max(o.limit, 0)), Read: o.proto(),
	}
	var resp *hawserv1.ImpactResponse
	err := c.do(ctx, &call{
		op: "impact", key: ref.String(), leader: !o.stale,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Impact(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return Impact{}, err
	}
	return Impact{Affected: convert(resp.GetAffected(), affectedFromProto), Truncated: resp.GetTruncated()}, nil
}

func affectedFromProto(m *hawserv1.Affected) Affected {
	return Affected{
		Agent:    hawser.AgentID{Namespace: m.GetAgent().GetNamespace(), Name: m.GetAgent().GetName()},
		Versions: m.GetVersions(),
		Via: hawser.VersionRef{
			Agent:  hawser.AgentID{Namespace: m.GetVia().GetAgent().GetNamespace(), Name: m.GetVia().GetAgent().GetName()},
			Number: m.GetVia().GetNumber(),
		},
	}
}
