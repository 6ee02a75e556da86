// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// lateTick is how late a tick may be before it counts as a pause of the
	// process, which no deadline includes.
	lateTick = 100 * time.Millisecond
	// retryPause is how long a proposal that failed waits for its repetition.
	retryPause = 100 * time.Millisecond
	// proposeTimeout bounds one proposal.
	proposeTimeout = 5 * time.Second
	// maxWorkers bounds the proposals under way.
	maxWorkers = 32
	// maxRanked is how many of a queue are ranked, and maxRankings of how many
	// resources that one lease held.
	maxRanked   = 100
	maxRankings = 400
	// loadPage is how many leases are loaded at a time.
	loadPage = 10_000
)

// View is the part of [fsm.View] that a manager reads.
type View interface {
	Leases(after hawser.LeaseID, limit int) ([]fsm.LeaseInfo, error)
	EndedHolds() ([]fsm.EndedHold, error)
	HoldsOf(lease hawser.LeaseID, limit int) ([]hawser.Resource, error)
	Waiters(name hawser.Resource, limit int) ([]hawser.Waiter, error)
	Close() error
}

// Config is what a manager works with. All fields are required.
type Config struct {
	// Self is the node's ServerID.
	Self string
	// View returns the newest moment of the machine.
	View func() (View, error)
	// Submit proposes a command.
	Submit func(context.Context, fsm.Command) (fsm.Result, error)
	// Round returns after a term round that began after the call.
	Round func(context.Context) error
	// ReadyTerm returns the term of which the own LeaderStart is applied while
	// this node leads, else 0.
	ReadyTerm func() uint64
	// Health returns how an instance does that waits for an agent.
	Health func(hawser.AgentID, hawser.LeaseID) hawser.HealthState
	Logger *slog.Logger
}

// Manager keeps the deadlines of leases while its node leads. Safe for
// concurrent use.
type Manager struct {
	cfg    Config
	start  time.Time
	ctx    context.Context //nolint:containedctx // ends what the manager has started, at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	table *table
	// skew is how long this process did not run.
	skew    time.Duration
	pending []job
	workers int
}

// New starts a manager. Close ends it.
func New(cfg Config) *Manager {
	m := &Manager{cfg: cfg, start: time.Now()}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.wg.Go(m.loop)
	return m
}

// Close ends the manager and joins what it has started.
func (m *Manager) Close() {
	m.cancel()
	m.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retireLocked()
}

// now is the time on the table's clock.
func (m *Manager) now() time.Duration { return time.Since(m.start) - m.skew }

func (m *Manager) loop() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		late := time.Since(last) - tick
		last = time.Now()
		m.advance(late)
	}
}

// advance looks at the deadlines, in a tick that came so late.
func (m *Manager) advance(late time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if late > lateTick {
		m.skew += late
		m.cfg.Logger.Warn("leases: this process did not run for a while", "for", late)
	}
	if m.table != nil && m.table.isLoaded() {
		m.pending = m.table.due(m.now(), m.pending)
		m.hireLocked()
	}
}

// hireLocked starts workers as long as there is something for them to do.
func (m *Manager) hireLocked() {
	for m.workers < min(len(m.pending), maxWorkers) && m.ctx.Err() == nil {
		m.workers++
		m.wg.Go(m.work)
	}
}

func (m *Manager) work() {
	for {
		m.mu.Lock()
		if len(m.pending) == 0 || m.ctx.Err() != nil {
			m.workers--
			m.mu.Unlock()
			return
		}
		j := m.pending[0]
		m.pending = m.pending[1:]
		stale := m.table == nil || m.table.term != j.term || j.timer().dropped
		m.mu.Unlock()
		if !stale && m.cfg.ReadyTerm() != j.term {
			m.later(j) // another one leads, and has not told yet
			continue
		}
		if !stale {
			m.propose(j)
		}
	}
}

// later has a job looked at again after a while.
func (m *Manager) later(j job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table != nil {
		m.table.retry(j, m.now())
	}
}

// propose ends a lease, or the wait for the holder of an ended hold. What
// becomes of that is seen by OnApplied; what fails is repeated.
func (m *Manager) propose(j job) {
	ctx, cancel := context.WithTimeout(m.ctx, proposeTimeout)
	defer cancel()
	var c fsm.Command
	if j.lease != nil {
		c = &fsm.EndLease{Lease: j.lease.id, Term: j.term, Rankings: m.rankings(j.lease.id)}
	} else {
		e := j.ending
		c = &fsm.Succeed{Resource: e.resource, Token: e.token, Term: j.term, Ranking: m.Ranking(e.resource)}
	}
	res, err := m.cfg.Submit(ctx, c)
	if err == nil {
		err = res.Err
	}
	if err == nil {
		return
	}
	// What is refused as a whole, as while replicas differ, is told elsewhere.
	if m.ctx.Err() == nil && !errors.Is(err, hawser.ErrNotLeader) && !errors.Is(err, hawser.ErrUnavailable) {
		m.cfg.Logger.WarnContext(m.ctx, "leases: an end was not executed", "err", err)
	}
	m.later(j)
}

// rankings are for what a lease holds, where the queue's order is not the one
// to serve in.
func (m *Manager) rankings(lease hawser.LeaseID) []fsm.Ranking {
	view, err := m.cfg.View()
	if err != nil {
		return nil // the order of the queue is good enough
	}
	defer closeView(view)
	held, err := view.HoldsOf(lease, maxRankings)
	if err != nil {
		return nil
	}
	var rankings []fsm.Ranking
	for _, name := range held {
		if ranking := m.rank(view, name); len(ranking) > 0 {
			rankings = append(rankings, fsm.Ranking{Resource: name, Candidates: ranking})
		}
	}
	return rankings
}

// Ranking returns who waits for a resource in the order in which to serve them,
// empty when that is the order of the queue: by priority, then by health, then by how
// far they follow the agent, then by age.
func (m *Manager) Ranking(name hawser.Resource) []hawser.LeaseID {
	if name.Kind != hawser.ResourceClaim {
		return nil
	}
	view, err := m.cfg.View()
	if err != nil {
		return nil // the order of the queue is good enough
	}
	defer closeView(view)
	return m.rank(view, name)
}

func (m *Manager) rank(view View, name hawser.Resource) []hawser.LeaseID {
	waiters, err := view.Waiters(name, maxRanked)
	if err != nil || len(waiters) < 2 {
		return nil
	}
	states := make(map[hawser.LeaseID]hawser.HealthState, len(waiters))
	for _, w := range waiters {
		states[w.Lease] = m.cfg.Health(name.Name, w.Lease)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return nil
	}
	return m.table.hints.rank(name.Name, waiters, states)
}

// OnApplied takes what the own machine has applied, in order, before anybody
// learns of the results.
func (m *Manager) OnApplied(applied []fsm.Applied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range applied {
		for k, c := range applied[i].Commands {
			if res := &applied[i].Results[k]; res.Err == nil {
				m.appliedLocked(c, res)
			}
		}
	}
}

func (m *Manager) appliedLocked(c fsm.Command, res *fsm.Result) {
	if s, ok := c.(*fsm.LeaderStart); ok {
		m.retireLocked()
		if s.Node == m.cfg.Self && m.ctx.Err() == nil {
			m.beginLocked(s.Term)
		}
		return
	}
	t := m.table
	if t == nil {
		return
	}
	switch c := c.(type) {
	case *fsm.ImportStart, *fsm.ImportEnd: // nothing that was open is there any more
		m.beginLocked(t.term)
	case *fsm.OpenLease:
		t.open(c.Lease, c.TTL, m.now())
	case *fsm.EndLease:
		t.end(c.Lease, res.More, m.now())
	case *fsm.Release:
		if res.Released {
			t.settle(holdKey{c.Resource, c.Lease})
			t.hints.forget(c.Lease, c.Resource.Name)
		}
	case *fsm.Succeed:
		t.succeeded(c.Resource, c.Token)
	case *fsm.EndClaim, *fsm.Save, *fsm.SaveAll, *fsm.Rollback, *fsm.RollbackCut, *fsm.Delete:
		for _, e := range res.Events {
			if e.Kind == hawser.EventClaimEnded {
				name := hawser.Resource{Kind: hawser.ResourceClaim, Name: e.Name}
				t.endHold(holdKey{name, e.Lease}, e.Token, e.Reason)
			}
		}
	}
}

func (m *Manager) beginLocked(term uint64) {
	m.retireLocked()
	t := newTable(term)
	m.table = t
	m.wg.Go(func() { m.load(t) })
}

func (m *Manager) retireLocked() {
	if m.table != nil {
		m.table.retire()
	}
	m.table, m.pending = nil, nil
}

// load gives every lease that was open before the term its full TTL, and every
// ended hold that of its holder's lease. The leases come first: what ends a hold
// after the view of the ended ones finds its lease in the table.
func (m *Manager) load(t *table) {
	for m.ctx.Err() == nil {
		err := m.loadOnce(t)
		if err == nil {
			return
		}
		m.cfg.Logger.DebugContext(m.ctx, "leases: not loaded", "err", err) // as long as an archive is being restored
		select {
		case <-m.ctx.Done():
		case <-time.After(retryPause):
		}
		m.mu.Lock()
		stale := m.table != t
		m.mu.Unlock()
		if stale {
			return
		}
	}
}

func (m *Manager) loadOnce(t *table) error {
	if err := m.loadLeases(t); err != nil {
		return err
	}
	view, err := m.cfg.View()
	if err != nil {
		return err
	}
	defer closeView(view)
	ended, err := view.EndedHolds()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == t {
		t.load(ended, m.now())
	}
	return nil
}

func (m *Manager) loadLeases(t *table) error {
	view, err := m.cfg.View()
	if err != nil {
		return err
	}
	defer closeView(view)
	for after := (hawser.LeaseID{}); ; {
		leases, err := view.Leases(after, loadPage)
		if err != nil {
			return err
		}
		m.mu.Lock()
		stale := m.table != t
		for _, l := range leases {
			if _, gone := t.gone[l.ID]; !stale && !gone && t.leases[l.ID] == nil {
				t.known(l, m.now())
			}
		}
		m.mu.Unlock()
		if stale || len(leases) < loadPage {
			return nil
		}
		after = leases[len(leases)-1].ID
	}
}

func closeView(view View) { _ = view.Close() } // reads only
