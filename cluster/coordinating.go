// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	"github.com/hawserdb/hawser/cluster/health"
	"github.com/hawserdb/hawser/cluster/lease"
	"github.com/hawserdb/hawser/cluster/watch"
)

// leaseConfig is what the deadlines of leases are kept with.
func (c *core) leaseConfig() lease.Config {
	return lease.Config{
		Self: c.node.id, Submit: c.proposer.Submit, ReadyTerm: c.proposer.ReadyTerm, Logger: c.node.part("lease"),
		Round: func(ctx context.Context) error {
			_, err := c.reads.LeaderIndex(ctx)
			return err
		},
		Health: c.health.State,
		View: func() (lease.View, error) {
			view, err := c.node.machine.View()
			if err != nil {
				return nil, err
			}
			return view, nil
		},
	}
}

// healthConfig is what instances are judged with.
func (c *core) healthConfig() health.Config {
	return health.Config{
		Self: c.node.id, Submit: c.proposer.Submit, ReadyTerm: c.proposer.ReadyTerm, Logger: c.node.part("health"),
		View: func() (health.View, error) {
			view, err := c.node.machine.View()
			if err != nil {
				return nil, err
			}
			return view, nil
		},
	}
}

// now is the cluster's clock as this node knows it: it runs here while the node
// leads.
func (c *core) now() time.Time {
	if c.leads() {
		return time.Unix(0, c.clock.Stamp())
	}
	return c.node.machine.Info().Time
}

// eventView is the machine as the hub of watches reads it.
func (c *core) eventView() (watch.View, error) {
	view, err := c.node.machine.View()
	if err != nil {
		return nil, err
	}
	return view, nil
}
