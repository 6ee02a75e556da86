// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Followed says how far a lease that waits for an agent follows it.
type Followed struct {
	Lease   hawser.LeaseID
	Agent   hawser.AgentID
	Version uint64
}

// Renewed tells of leases that were renewed.
type Renewed struct {
	// Expired are those that are not open.
	Expired []hawser.LeaseID
	// Ended are holds that somebody else has ended and that the holder has not
	// acknowledged. The others hold.
	Ended []fsm.EndedHold
}

// Renew moves the deadlines of leases, and returns once it is certain that
// those not in Renewed.Expired were open after the call had begun. It waits for
// what becomes of a lease whose end is being proposed. It fails with
// hawser.ErrNotLeader on another node than the leader, with
// hawser.ErrUnavailable when no majority answered, and with the cause of ctx.
func (m *Manager) Renew(ctx context.Context, leases []hawser.LeaseID, followed []Followed) (Renewed, error) {
	t, err := m.receive(leases, followed)
	if err != nil {
		return Renewed{}, err
	}
	select {
	case <-t.loaded:
	case <-ctx.Done():
		return Renewed{}, context.Cause(ctx)
	}
	if err := m.cfg.Round(ctx); err != nil {
		return Renewed{}, err
	}
	return m.confirm(ctx, t, leases)
}

var errNotLeader error = &hawser.Error{Code: hawser.CodeNotLeader, Op: "keep alive"}

// receive moves the deadlines.
func (m *Manager) receive(leases []hawser.LeaseID, followed []Followed) (*table, error) {
	term := m.cfg.ReadyTerm()
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table
	if t == nil || t.term != term {
		return nil, errNotLeader
	}
	now := m.now()
	for _, id := range leases {
		t.renew(id, now)
	}
	for _, f := range followed {
		if t.leases[f.Lease] != nil {
			t.hints.set(f.Lease, f.Agent, f.Version)
		}
	}
	return t, nil
}

// confirm tells which leases are open, after the round.
func (m *Manager) confirm(ctx context.Context, t *table, leases []hawser.LeaseID) (Renewed, error) {
	for {
		r, outcome, err := m.look(t, leases)
		if err != nil || outcome == nil {
			return r, err
		}
		select {
		case <-outcome:
		case <-ctx.Done():
			return Renewed{}, context.Cause(ctx)
		}
	}
}

// look returns what there is to say, or what to wait for first.
func (m *Manager) look(t *table, leases []hawser.LeaseID) (r Renewed, outcome <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table != t {
		return Renewed{}, nil, errNotLeader
	}
	for _, id := range leases {
		l := t.leases[id]
		switch {
		case l == nil || l.state == remaining:
			r.Expired = append(r.Expired, id)
		case l.state == closing:
			if l.outcome == nil {
				l.outcome = make(chan struct{})
			}
			return Renewed{}, l.outcome, nil
		default:
			for _, e := range l.ended {
				r.Ended = append(r.Ended, fsm.EndedHold{Resource: e.resource, Lease: id, Token: e.token, Reason: e.reason})
			}
		}
	}
	return r, nil, nil
}

// Len returns how many leases there are, 0 on another node than the leader.
func (m *Manager) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return 0
	}
	return len(m.table.leases)
}
