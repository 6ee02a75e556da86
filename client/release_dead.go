// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// ReleaseDead gives the agent back for an instance (Config.Instance) that owned it,
// or waited for it, and whose process has ended: the next one need not wait for the
// end of its time to live. It reports whether the instance owned the agent.
//
// Only who has seen the process end may call it, its parent for example. If the
// process lives, what it writes is refused from then on, but what it does elsewhere
// may meet what its successor does.
func (a *Agent) ReleaseDead(ctx context.Context, instance string) (owned bool, err error) {
	found, err := a.owned(ctx)
	if err != nil {
		return false, err
	}
	for _, h := range found.Holders {
		if h.Instance == instance {
			return true, a.client.endLease(ctx, h.Lease)
		}
	}
	for _, w := range found.Waiters {
		if w.Instance == instance {
			return false, a.client.endLease(ctx, w.Lease)
		}
	}
	return false, nil
}

// endLease ends a lease, of whichever process.
func (c *Client) endLease(ctx context.Context, id hawser.LeaseID) error {
	return c.do(ctx, &call{
		op: "end lease", key: id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCoordinationClient(s.conn).EndLease(ctx, &hawserv1.EndLeaseRequest{Lease: id[:], Generation: c.generation.Load()}, s.options...)
			return resp.GetHeader(), err
		},
	})
}
