// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// lookEvery is how often the loop looks at all instances.
	lookEvery = time.Second
	// flushPause is between two proposals, each with maxChanges changes at most.
	flushPause = 100 * time.Millisecond
	maxChanges = 400
	// notedAtOnce bounds how long OnApplied waits.
	notedAtOnce = 64
	// proposeTimeout bounds one proposal.
	proposeTimeout = 5 * time.Second
)

// View is the part of [fsm.View] that a manager reads.
type View interface {
	Holding(name hawser.Resource) (hawser.Holding, bool, error)
	Hold(name hawser.Resource, lease hawser.LeaseID) (fsm.Hold, error)
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
	// ReadyTerm returns the term of which the own LeaderStart is applied while this node
	// leads, else 0.
	ReadyTerm func() uint64
	Logger    *slog.Logger
}

// Report is what an instance tells of itself.
type Report struct {
	Lease hawser.LeaseID
	Agent hawser.AgentID
	hawser.HealthReport
}

// Manager judges instances while its node leads. Safe for concurrent use.
type Manager struct {
	cfg    Config
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// wake has capacity 1: there is something to propose.
	wake chan struct{}

	mu    sync.Mutex
	table *table
}

// New starts a manager. Close ends it.
func New(cfg Config) *Manager {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{cfg: cfg, cancel: cancel, wake: make(chan struct{}, 1)}
	m.wg.Go(func() { m.loop(ctx) })
	return m
}

// Close ends the manager and joins what it has started.
func (m *Manager) Close() {
	m.cancel()
	m.wg.Wait()
}

// Note takes reports of leases that live. On another node than the leader it does
// nothing.
func (m *Manager) Note(reports []Report) {
	for ; len(reports) > notedAtOnce; reports = reports[notedAtOnce:] {
		m.note(reports[:notedAtOnce])
	}
	m.note(reports)
}

func (m *Manager) note(reports []Report) {
	if len(reports) == 0 {
		return
	}
	fresh := m.fresh(reports)
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return
	}
	for i := range reports {
		r := &reports[i]
		hold, isNew := fresh[instance{r.Agent, r.Lease}]
		if isNew && hold.State != fsm.HoldGranted && hold.State != fsm.HoldQueued {
			continue // it has nothing to do with the agent, or no more
		}
		m.table.note(r, hold.Token, now)
	}
	if len(m.table.changed) > 0 {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// fresh returns what those have in their agents that nothing is known of yet.
func (m *Manager) fresh(reports []Report) map[instance]fsm.Hold {
	m.mu.Lock()
	var fresh map[instance]fsm.Hold
	for i := range reports {
		r := &reports[i]
		if m.table != nil && m.table.find(r.Agent, r.Lease) == nil {
			if fresh == nil {
				fresh = map[instance]fsm.Hold{}
			}
			fresh[instance{r.Agent, r.Lease}] = fsm.Hold{}
		}
	}
	m.mu.Unlock()
	if fresh == nil {
		return nil
	}
	view, err := m.cfg.View()
	if err != nil {
		return fresh
	}
	defer closeView(view)
	for of := range fresh {
		if hold, err := view.Hold(claimOf(of.agent), of.lease); err == nil {
			fresh[of] = hold
		}
	}
	return fresh
}

func claimOf(agent hawser.AgentID) hawser.Resource {
	return hawser.Resource{Kind: hawser.ResourceClaim, Name: agent}
}

// OnApplied takes what the own machine has applied, in order.
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
	switch c := c.(type) {
	case *fsm.LeaderStart:
		m.table = nil
		if c.Node == m.cfg.Self {
			m.table = newTable(c.Term)
		}
	case *fsm.ImportStart, *fsm.ImportEnd: // nothing that was held is held any more
		if m.table != nil {
			m.table = newTable(m.table.term)
		}
	case *fsm.EndLease:
		if m.table != nil {
			m.table.forgetLease(c.Lease)
		}
	case *fsm.Release:
		if m.table != nil && res.Released {
			m.table.forget(c.Resource.Name, c.Lease)
		}
	}
	if m.table == nil {
		return
	}
	for i := range res.Events {
		e := &res.Events[i]
		if e.Kind == hawser.EventVersionSaved {
			m.table.saved(e.Name, time.Now())
		}
		if e.Kind == hawser.EventClaimGranted {
			m.table.granted(e.Name, e.Lease, e.Token)
		}
		if e.Kind == hawser.EventClaimEnded {
			m.table.forget(e.Name, e.Lease)
		}
	}
}

// State returns how an instance that waits for an agent, or owns it, does.
func (m *Manager) State(agent hawser.AgentID, lease hawser.LeaseID) hawser.HealthState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return hawser.HealthUnknown
	}
	if e := m.table.find(agent, lease); e != nil {
		return e.state
	}
	return hawser.HealthUnknown
}

// Counts returns how many instances there are of each state, by the state.
func (m *Manager) Counts() (counts [hawser.HealthHealthy + 1]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return counts
	}
	for _, list := range m.table.agents {
		for _, e := range list {
			counts[e.state]++
		}
	}
	return counts
}

// Agent returns the instances of one agent with their results, those that wait last.
func (m *Manager) Agent(id hawser.AgentID) []hawser.InstanceHealth {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return nil
	}
	return m.table.describe(id, time.Now(), true)
}

// List returns the instances of the agents below a prefix whose names come after one,
// in order, those of limit agents at most.
func (m *Manager) List(namespace, prefix, after string, limit int) []hawser.InstanceHealth {
	names := m.names(namespace, prefix, after)
	slices.Sort(names)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return nil
	}
	var list []hawser.InstanceHealth
	now := time.Now()
	for _, name := range names[:min(limit, len(names))] {
		list = append(list, m.table.describe(hawser.AgentID{Namespace: namespace, Name: name}, now, false)...)
	}
	return list
}

func (m *Manager) names(namespace, prefix, after string) (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return nil
	}
	for id := range m.table.agents {
		if id.Namespace == namespace && id.Name > after && below(id.Name, prefix) {
			names = append(names, id.Name)
		}
	}
	return names
}

// below reports whether a name starts with the segments of prefix.
func below(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(prefix, "/"))
	return prefix == "" || ok && (rest == "" && !strings.HasSuffix(prefix, "/") || strings.HasPrefix(rest, "/"))
}

func (m *Manager) loop(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			last = m.look(last)
		case <-m.wake:
		}
		for m.flush(ctx) {
			if sleep(ctx, flushPause) != nil {
				return
			}
		}
		for _, y := range m.yielding() {
			m.handOver(ctx, y)
		}
	}
}

// look judges those again that have not reported. After a pause of this process it does
// not: what was reported meanwhile has yet to be read.
func (m *Manager) look(last time.Time) (now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now = time.Now(); m.table != nil && now.Sub(last) < 3*lookEvery {
		m.table.look(now)
	}
	return now
}

// flush proposes changes, and reports whether there may be more.
func (m *Manager) flush(ctx context.Context) (more bool) {
	m.mu.Lock()
	t := m.table
	if t == nil || len(t.changed) == 0 {
		m.mu.Unlock()
		return false
	}
	changes, due := t.take(time.Now(), maxChanges)
	m.mu.Unlock()
	if len(changes) == 0 {
		return false
	}
	if m.cfg.ReadyTerm() != t.term {
		return false // what was taken is looked at again by the next look
	}
	c := &fsm.SetHealth{Term: t.term, Changes: m.unknownToLog(changes)}
	if len(c.Changes) > 0 {
		if err := m.submit(ctx, c); err != nil {
			if ctx.Err() == nil && !errors.Is(err, hawser.ErrNotLeader) && !errors.Is(err, hawser.ErrUnavailable) {
				m.cfg.Logger.WarnContext(ctx, "health: changes were not recorded; they are proposed again", "error", err)
			}
			return false
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.told(changes, time.Now())
	return m.table == t && due
}

func (m *Manager) submit(ctx context.Context, c fsm.Command) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	res, err := m.cfg.Submit(ctx, c)
	if err == nil {
		err = res.Err
	}
	return err
}

// unknownToLog leaves out what the log knows, as after a change of the leader.
func (m *Manager) unknownToLog(changes []fsm.HealthChange) []fsm.HealthChange {
	view, err := m.cfg.View()
	if err != nil {
		return changes // the machine looks too
	}
	defer closeView(view)
	return slices.DeleteFunc(slices.Clone(changes), func(c fsm.HealthChange) bool {
		h, _, err := view.Holding(claimOf(c.Agent))
		return err == nil && (len(h.Holders) == 0 || h.Holders[0].Token != c.Token || h.Holders[0].Health == c.State)
	})
}

// yielding returns the owners that are to give up their agents.
func (m *Manager) yielding() []yield {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return nil
	}
	return m.table.yielding(time.Now())
}

// handOver takes an agent from its owner and gives it to a healthy instance that waits.
func (m *Manager) handOver(ctx context.Context, y yield) {
	to := m.successor(y)
	if to == "" {
		return
	}
	_, epoch := hawser.SplitToken(y.token)
	c := &fsm.EndClaim{Agent: y.agent, Epoch: epoch, To: to, Reason: bounded("unhealthy: " + y.reason)}
	if err := m.submit(ctx, c); err != nil && ctx.Err() == nil {
		m.cfg.Logger.WarnContext(ctx, "health: an agent was not handed over", "agent", y.agent.String(), "to", to, "error", err)
		return
	}
	m.cfg.Logger.InfoContext(ctx, "health: an agent was handed over", "agent", y.agent.String(), "to", to, "because", y.reason)
}

// successor returns the name of the instance that is to get the agent, "" if it waits
// no more.
func (m *Manager) successor(y yield) string {
	view, err := m.cfg.View()
	if err != nil {
		return ""
	}
	defer closeView(view)
	h, _, err := view.Holding(claimOf(y.agent))
	if err != nil {
		return ""
	}
	for _, w := range h.Waiters {
		if w.Lease == y.to {
			return w.Instance
		}
	}
	return ""
}

func closeView(v View) { _ = v.Close() } // it was only read

// bounded cuts a reason to what the log takes.
func bounded(s string) string {
	if len(s) > hawser.MaxReason {
		s = strings.ToValidUTF8(s[:hawser.MaxReason], "")
	}
	return s
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
