// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"github.com/hawserdb/hawser/cluster/janitor"
)

// housekeeping is what keeps a member's store small and sound. The zero value
// does nothing.
type housekeeping struct {
	janitor     *janitor.Janitor
	compactor   *janitor.Compactor
	sweeper     *janitor.Sweeper
	successions successions
}

// startHousekeeping starts it; it runs until close.
func (c *core) startHousekeeping() {
	n := c.node
	c.keeping.janitor = janitor.Start(janitor.Config{
		View:    func() (janitor.View, error) { return n.machine.View() },
		Garbage: n.machine.Garbage, Leads: c.leads, Submit: c.proposer.Submit,
		Now: c.now, Level: c.level, Logger: n.part("janitor"),
	})
	c.keeping.sweeper = janitor.StartSweeper(janitor.SweeperConfig{
		View:  func() (janitor.SweepView, error) { return n.machine.View() },
		Leads: c.leads, Submit: c.proposer.Submit, Now: c.now, Logger: n.part("janitor"),
	})
	c.keeping.compactor = janitor.StartCompactor(n.machine, n.part("janitor"))
	c.scrubber.Start()
	c.auditor.Start()
	c.keeping.successions.start(c)
}

func (h *housekeeping) close() {
	if h.janitor == nil {
		return
	}
	h.successions.close()
	h.janitor.Close()
	h.sweeper.Close()
	h.compactor.Close()
}
