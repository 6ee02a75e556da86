// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"slices"

	"github.com/hawserdb/hawser"
)

const (
	// maxHints bounds what is kept of how far leases follow agents, and
	// maxLeaseHints the part of one of them. What comes on top is not kept: the
	// ranking then goes by age.
	maxHints      = 1 << 20
	maxLeaseHints = 1000
)

// hints are how far the leases that wait for agents follow them.
type hints struct {
	versions map[hawser.AgentID]map[hawser.LeaseID]uint64
	agents   map[hawser.LeaseID][]hawser.AgentID
	count    int
}

func newHints() hints {
	return hints{
		versions: make(map[hawser.AgentID]map[hawser.LeaseID]uint64), agents: make(map[hawser.LeaseID][]hawser.AgentID),
	}
}

// set notes that lease follows agent up to version.
func (h *hints) set(lease hawser.LeaseID, agent hawser.AgentID, version uint64) {
	of := h.versions[agent]
	if _, known := of[lease]; !known {
		if h.count >= maxHints || len(h.agents[lease]) >= maxLeaseHints {
			return
		}
		if of == nil {
			of = make(map[hawser.LeaseID]uint64)
			h.versions[agent] = of
		}
		h.agents[lease] = append(h.agents[lease], agent)
		h.count++
	}
	of[lease] = version
}

// forget drops what is known of a lease that waits for agent no more.
func (h *hints) forget(lease hawser.LeaseID, agent hawser.AgentID) {
	if _, known := h.versions[agent][lease]; !known {
		return
	}
	h.remove(lease, agent)
	agents := h.agents[lease]
	for i, a := range agents {
		if a == agent {
			agents[i] = agents[len(agents)-1]
			agents = agents[:len(agents)-1]
			break
		}
	}
	if len(agents) == 0 {
		delete(h.agents, lease)
		return
	}
	h.agents[lease] = agents
}

// forgetLease drops all that is known of a lease.
func (h *hints) forgetLease(lease hawser.LeaseID) {
	for _, agent := range h.agents[lease] {
		h.remove(lease, agent)
	}
	delete(h.agents, lease)
}

func (h *hints) remove(lease hawser.LeaseID, agent hawser.AgentID) {
	delete(h.versions[agent], lease)
	if len(h.versions[agent]) == 0 {
		delete(h.versions, agent)
	}
	h.count--
}

// rank orders waiters by priority, then by how they do, then by how far they follow the
// agent, then as they are; empty when that is as they are.
func (h *hints) rank(agent hawser.AgentID, waiters []hawser.Waiter, states map[hawser.LeaseID]hawser.HealthState) []hawser.LeaseID {
	versions := h.versions[agent]
	order := func(a, b hawser.Waiter) int {
		return cmp.Or(
			cmp.Compare(b.Priority, a.Priority), byHealth(states[a.Lease], states[b.Lease]), cmp.Compare(versions[b.Lease], versions[a.Lease]))
	}
	if slices.IsSortedFunc(waiters, order) {
		return nil
	}
	slices.SortStableFunc(waiters, order)
	ranking := make([]hawser.LeaseID, len(waiters))
	for i, w := range waiters {
		ranking[i] = w.Lease
	}
	return ranking
}

// byHealth orders the better one of two states first.
func byHealth(a, b hawser.HealthState) int {
	switch {
	case a == b:
		return 0
	case a.Worse(b) == b:
		return -1
	}
	return 1
}
