// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/judge"
)

const (
	// budget is what all that is kept may take, in bytes.
	budget = 64 << 20
	// minKept and maxKept are how many results are kept of an instance.
	minKept, maxKept = 10, 100
	// entrySize is about what an instance takes without results and texts.
	entrySize = 700
	// maxKeptProblem bounds the text of a problem of a result; the newest report has it
	// whole.
	maxKeptProblem = 64
	// silence is after how long without a report an instance is unknown, forgetting after
	// how long it is forgotten.
	silence, forgetting = 10 * time.Second, time.Minute
	// calm is between two changes of an agent that are written, unless it is for the
	// worse.
	calm = 5 * time.Second
	// handoverPause is between two attempts to take an agent from its owner.
	handoverPause = 10 * time.Second
	// maxDescribed is how many instances of an agent are described, the owner first.
	maxDescribed = 16
	// fresh is how old the report of an instance may be that is to get an agent.
	fresh = 5 * time.Second
)

// entry is an instance of an agent.
type entry struct {
	lease hawser.LeaseID
	// token is that of the claim, 0 while it waits.
	token  uint64
	judge  *judge.Judge
	report hawser.HealthReport
	// at is when the newest report came, saved when its agent was last saved.
	at, saved time.Time
	state     hawser.HealthState
	// queued: it is in table.changed.
	queued bool
	// told is the state that the log knows from this leader, if known; toldAt is when.
	told   hawser.HealthState
	known  bool
	toldAt time.Time
	// tried is when it was last tried to take the agent from it.
	tried time.Time
	// size is what was counted for it.
	size int
}

// table is what a leader knows in its term.
type table struct {
	term   uint64
	agents map[hawser.AgentID][]*entry
	leases map[hawser.LeaseID][]hawser.AgentID
	// changed are owners whose states the log does not know yet, in the order in which
	// they became so.
	changed []instance
	// used is what all takes, keep how many results are kept of each, refused how many
	// reports were not taken.
	used, keep int
	refused    uint64
}

// instance names one of an agent.
type instance struct {
	agent hawser.AgentID
	lease hawser.LeaseID
}

func newTable(term uint64) *table {
	return &table{term: term, agents: map[hawser.AgentID][]*entry{}, leases: map[hawser.LeaseID][]hawser.AgentID{}, keep: maxKept}
}

func (t *table) find(agent hawser.AgentID, lease hawser.LeaseID) *entry {
	for _, e := range t.agents[agent] {
		if e.lease == lease {
			return e
		}
	}
	return nil
}

// note takes a report. Token is that of the claim of an instance that is new, 0 if it
// waits.
func (t *table) note(r *Report, token uint64, now time.Time) {
	e := t.find(r.Agent, r.Lease)
	if e == nil {
		if e = t.add(r, token); e == nil {
			t.refused++
			return
		}
	}
	e.take(r, now)
	if t.used > budget && t.keep == minKept {
		e.report.Metrics, e.report.LastOdd = nil, ""
	}
	e.judge.Keep(t.keep)
	t.resize(e)
	t.judge(r.Agent, e, now)
}

// take notes what a report says.
func (e *entry) take(r *Report, now time.Time) {
	e.judge.Expect(r.Limit)
	e.judge.Step(now, r.Steps)
	if r.Waiting != e.report.Waiting {
		if r.Waiting {
			e.judge.Wait(now)
		} else {
			e.judge.Resume(now)
		}
	}
	problem := r.Problem
	if len(problem) > maxKeptProblem {
		problem = strings.ToValidUTF8(problem[:maxKeptProblem], "")
	}
	e.judge.Note(judge.Result{At: now, Took: r.Took, Problem: problem})
	e.report, e.at = r.HealthReport, now
}

// add makes an entry, unless there is no room.
func (t *table) add(r *Report, token uint64) *entry {
	if t.used+entrySize > budget && t.keep == minKept {
		return nil
	}
	j, err := judge.New(judge.Limits{})
	if err != nil {
		return nil // the defaults are valid
	}
	e := &entry{lease: r.Lease, token: token, judge: j}
	t.agents[r.Agent] = append(t.agents[r.Agent], e)
	t.leases[r.Lease] = append(t.leases[r.Lease], r.Agent)
	return e
}

// resize counts again what an entry takes.
func (t *table) resize(e *entry) {
	size := entrySize + e.judge.Size() + len(e.report.Problem) + len(e.report.LastOdd)
	for _, m := range e.report.Metrics {
		size += 24 + len(m.Name)
	}
	t.used += size - e.size
	e.size = size
}

// judge notes how an instance does, and what of that the log is to know.
func (t *table) judge(agent hawser.AgentID, e *entry, now time.Time) {
	e.state = e.judge.State(now)
	if now.Sub(e.at) > silence {
		e.state = hawser.HealthUnknown
	}
	if !e.queued && t.isNews(e) {
		e.queued = true
		t.changed = append(t.changed, instance{agent, e.lease})
	}
}

// isNews reports whether the log does not know how an owner does. What a leader does not
// know yet is none: it would be told of each after every change of the leader.
func (t *table) isNews(e *entry) bool {
	if e.token == 0 || e.known && e.state == e.told {
		return false
	}
	return e.state != hawser.HealthUnknown || e.known
}

// take returns changes that are due, limit of them at most, and whether there may be
// more. Those that are not, and those that then are not recorded, are looked at again
// when all are.
func (t *table) take(now time.Time, limit int) (changes []fsm.HealthChange, more bool) {
	for i, c := range t.changed {
		if len(changes) == limit {
			t.changed = slices.Delete(t.changed, 0, i)
			return changes, true
		}
		e := t.find(c.agent, c.lease)
		if e == nil {
			continue
		}
		e.queued = false
		if t.isNews(e) && e.isDue(now) {
			changes = append(changes, fsm.HealthChange{Agent: c.agent, Token: e.token, State: e.state, Reason: e.why(now)})
		}
	}
	t.changed = t.changed[:0]
	return changes, false
}

// isDue reports whether a change may be written now.
func (e *entry) isDue(now time.Time) bool {
	return !e.known || e.told.Worse(e.state) != e.told || now.Sub(e.toldAt) >= calm
}

// why says why an instance does as it does.
func (e *entry) why(now time.Time) string {
	if e.state == hawser.HealthUnknown {
		return "no report for " + now.Sub(e.at).Round(time.Second).String()
	}
	return bounded(strings.Join(e.judge.Verdict(now).Reasons, "; "))
}

// told notes what the log knows now.
func (t *table) told(changes []fsm.HealthChange, now time.Time) {
	for i := range changes {
		for _, e := range t.agents[changes[i].Agent] {
			if e.token == changes[i].Token {
				e.told, e.known, e.toldAt = changes[i].State, true, now
			}
		}
	}
}

// look judges all again, forgets those that have not reported for long, and fits what
// is kept to the budget.
func (t *table) look(now time.Time) {
	for agent, list := range t.agents {
		for _, e := range slices.Clone(list) {
			if now.Sub(e.at) > forgetting {
				t.forget(agent, e.lease)
				continue
			}
			t.judge(agent, e, now)
		}
	}
	switch {
	case t.used > budget*9/10:
		t.keep = max(minKept, t.keep*3/4)
	case t.used < budget/2:
		t.keep = min(maxKept, t.keep*4/3+1)
	}
}

// granted notes that an instance owns its agent from now on.
func (t *table) granted(agent hawser.AgentID, lease hawser.LeaseID, token uint64) {
	if e := t.find(agent, lease); e != nil {
		e.token, e.known = token, false
	}
}

// saved notes that an agent was saved, which its owner has done.
func (t *table) saved(agent hawser.AgentID, now time.Time) {
	for _, e := range t.agents[agent] {
		if e.token != 0 {
			e.saved = now
		}
	}
}

// forget drops an instance of an agent.
func (t *table) forget(agent hawser.AgentID, lease hawser.LeaseID) {
	list := t.agents[agent]
	i := slices.IndexFunc(list, func(e *entry) bool { return e.lease == lease })
	if i < 0 {
		return
	}
	t.drop(agent, i)
	agents := t.leases[lease]
	if k := slices.Index(agents, agent); k >= 0 {
		agents = slices.Delete(agents, k, k+1)
	}
	if len(agents) == 0 {
		delete(t.leases, lease)
		return
	}
	t.leases[lease] = agents
}

func (t *table) drop(agent hawser.AgentID, i int) {
	list := t.agents[agent]
	t.used -= list[i].size
	if len(list) == 1 {
		delete(t.agents, agent)
		return
	}
	t.agents[agent] = slices.Delete(list, i, i+1)
}

// forgetLease drops all instances under a lease.
func (t *table) forgetLease(lease hawser.LeaseID) {
	for _, agent := range t.leases[lease] {
		if i := slices.IndexFunc(t.agents[agent], func(e *entry) bool { return e.lease == lease }); i >= 0 {
			t.drop(agent, i)
		}
	}
	delete(t.leases, lease)
}

// yield is an agent that is to be taken from its owner.
type yield struct {
	agent  hawser.AgentID
	token  uint64
	to     hawser.LeaseID
	reason string
}

// yielding returns the owners that have asked for it, are unhealthy, have not just shown
// that they are well, and have a healthy instance waiting.
func (t *table) yielding(now time.Time) []yield {
	var list []yield
	for agent, entries := range t.agents {
		for _, e := range entries {
			if !e.report.Yield || e.token == 0 || e.state != hawser.HealthUnhealthy || e.isBack(now) || now.Sub(e.tried) < handoverPause {
				continue
			}
			if to := best(entries, now); to != nil {
				e.tried = now
				list = append(list, yield{agent, e.token, to.lease, e.why(now)})
			}
		}
	}
	return list
}

// isBack reports whether the newest that is known of an unhealthy instance speaks for
// it: a good report, if it is not for want of steps that it is unhealthy, or else a save
// since the last step.
func (e *entry) isBack(now time.Time) bool {
	v := e.judge.Verdict(now)
	switch {
	case e.report.Problem != "" || v.Failures > 0:
		return false
	case e.report.Limit > 0 && v.Idle > e.report.Limit:
		return e.saved.After(now.Add(-v.Idle))
	}
	return true
}

// best returns an instance that waits, is healthy and has just said so; nil for none.
func best(entries []*entry, now time.Time) *entry {
	for _, e := range entries {
		if e.token == 0 && e.state == hawser.HealthHealthy && now.Sub(e.at) < fresh {
			return e
		}
	}
	return nil
}

// describe returns the instances of an agent, those that wait last.
func (t *table) describe(agent hawser.AgentID, now time.Time, results bool) []hawser.InstanceHealth {
	entries := slices.SortedFunc(slices.Values(t.agents[agent]), func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.token, a.token), slices.Compare(a.lease[:], b.lease[:]))
	})
	list := make([]hawser.InstanceHealth, 0, min(len(entries), maxDescribed))
	for _, e := range entries[:min(len(entries), maxDescribed)] {
		v := e.judge.Verdict(now)
		h := hawser.InstanceHealth{
			Agent: agent, Lease: e.lease, Token: e.token, State: e.state, Reasons: v.Reasons, Trend: v.Trend, Age: now.Sub(e.at), Idle: v.Idle, Report: e.report,
		}
		if e.state == hawser.HealthUnknown && now.Sub(e.at) > silence {
			h.Reasons = []string{e.why(now)}
		}
		if results {
			for _, r := range e.judge.Results() {
				h.Results = append(h.Results, hawser.HealthResult{Age: now.Sub(r.At), Problem: r.Problem, Took: r.Took})
			}
		}
		list = append(list, h)
	}
	return list
}
