// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// fakeMachine holds claims, and does what is submitted.
type fakeMachine struct {
	mu       sync.Mutex
	term     uint64
	holdings map[hawser.AgentID]*hawser.Holding
	// told are the changes of the log, as "agent state (reason)".
	told    []string
	ended   []fsm.EndClaim
	refuse  error
	entries int
}

func (f *fakeMachine) Holding(name hawser.Resource) (hawser.Holding, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.holdings[name.Name]; h != nil {
		return *h, true, nil
	}
	return hawser.Holding{}, false, nil
}

func (f *fakeMachine) Hold(name hawser.Resource, lease hawser.LeaseID) (fsm.Hold, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.holdings[name.Name]
	switch {
	case h == nil:
	case h.Holders[0].Lease == lease:
		return fsm.Hold{State: fsm.HoldGranted, Token: h.Holders[0].Token}, nil
	case slices.ContainsFunc(h.Waiters, func(w hawser.Waiter) bool { return w.Lease == lease }):
		return fsm.Hold{State: fsm.HoldQueued}, nil
	}
	return fsm.Hold{}, nil
}

func (*fakeMachine) Close() error { return nil }

func (f *fakeMachine) submit(_ context.Context, c fsm.Command) (fsm.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return fsm.Result{}, f.refuse
	}
	f.entries++
	switch c := c.(type) {
	case *fsm.SetHealth:
		for _, h := range c.Changes {
			f.holdings[h.Agent].Holders[0].Health = h.State
			line := h.Agent.Name + " " + h.State.String()
			if h.Reason != "" {
				line += " (" + h.Reason + ")"
			}
			f.told = append(f.told, line)
		}
	case *fsm.EndClaim:
		f.ended = append(f.ended, *c)
	}
	return fsm.Result{}, nil
}

func (f *fakeMachine) news() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.told
	f.told = nil
	return told
}

func agentOf(name string) hawser.AgentID { return hawser.AgentID{Namespace: "default", Name: name} }

func leaseOf(name string) (id hawser.LeaseID) {
	copy(id[:], name)
	return id
}

// own makes "owner of NAME" own an agent, and others wait for it.
func (f *fakeMachine) own(name string, waiting ...string) {
	h := &hawser.Holding{Holders: []hawser.Holder{{Lease: leaseOf("owner of " + name), Instance: "owner", Token: hawser.NewToken(1, 7)}}}
	for _, w := range waiting {
		h.Waiters = append(h.Waiters, hawser.Waiter{Lease: leaseOf(w), Instance: w})
	}
	f.holdings[agentOf(name)] = h
}

// start returns a manager that leads, in a bubble.
func start(t *testing.T) (*Manager, *fakeMachine) {
	t.Helper()
	f := &fakeMachine{term: 3, holdings: map[hawser.AgentID]*hawser.Holding{}}
	m := New(Config{
		Self: "n1", Submit: f.submit, Logger: slog.New(slog.DiscardHandler),
		View:      func() (View, error) { return f, nil },
		ReadyTerm: func() uint64 { f.mu.Lock(); defer f.mu.Unlock(); return f.term },
	})
	t.Cleanup(m.Close)
	m.lead(f, 3)
	return m, f
}

func (m *Manager) lead(f *fakeMachine, term uint64) {
	f.mu.Lock()
	f.term = term
	f.mu.Unlock()
	m.apply(&fsm.LeaderStart{Term: term, Node: "n1"}, fsm.Result{})
}

func (m *Manager) apply(c fsm.Command, res fsm.Result) {
	m.OnApplied([]fsm.Applied{{Commands: []fsm.Command{c}, Results: []fsm.Result{res}}})
}

// report is of the owner of an agent.
func report(name, problem string) Report {
	return Report{
		Agent: agentOf(name), Lease: leaseOf("owner of " + name), HealthReport: hawser.HealthReport{Problem: problem},
	}
}

// waits is the same of an instance that waits for it.
func waits(name, instance, problem string) Report {
	r := report(name, problem)
	r.Lease, r.Waiting = leaseOf(instance), true
	return r
}

// each reports every second, for as many seconds as results has letters: "." is good, "x"
// is not.
func (m *Manager) each(results string, f func(problem string) []Report) {
	for _, c := range results {
		problem := ""
		if c == 'x' {
			problem = "broken"
		}
		m.Note(f(problem))
		time.Sleep(time.Second)
	}
}

func expect(t *testing.T, f *fakeMachine, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := f.news(); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("the log was told %q, want %q", got, want)
	}
}

// Claim: the log is told of changes only: three failures in a row are unhealthy at once, a
// sample of ten healthy, and what is the same is not told again.
func TestManager_TellsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		f.own("a")
		one := func(problem string) []Report { return []Report{report("a", problem)} }
		m.each(".........", one) // nine are too few
		expect(t, f)
		m.each(".", one)
		expect(t, f, "a healthy")
		m.each("....................", one)
		expect(t, f)
		m.each("xx", one)
		expect(t, f, "a degrading")
		m.each("x", one)
		expect(t, f, "a unhealthy (3 failures in a row: broken)")
		m.each(".", one) // for the better: not at once
		expect(t, f)
		m.each(".....", one)
		expect(t, f, "a degrading")
		m.Close()
	})
}

// Claim: a new leader knows nothing, says so, and writes nothing that the log knows
// already; it needs a full streak of its own.
func TestManager_NewLeaderKnowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		f.own("a")
		one := func(problem string) []Report { return []Report{report("a", problem)} }
		m.each("..........", one)
		expect(t, f, "a healthy")
		m.each("xx", one)
		expect(t, f, "a degrading")
		m.lead(f, 4)
		if got := m.State(agentOf("a"), leaseOf("owner of a")); got != hawser.HealthUnknown {
			t.Errorf("after a change of the leader: %s", got)
		}
		m.each("xx", one)
		expect(t, f)
		m.each("x", one)
		expect(t, f, "a unhealthy (3 failures in a row: broken)")
		before := f.entries
		m.lead(f, 5)
		m.each("xxx", one)
		expect(t, f)
		if f.entries != before {
			t.Errorf("%d entries for what is known", f.entries-before)
		}
		m.apply(&fsm.LeaderStart{Term: 6, Node: "n2"}, fsm.Result{})
		m.each("xxx", one)
		if m.Agent(agentOf("a")) != nil || m.List("default", "", "", 10) != nil {
			t.Error("one that does not lead knows something")
		}
		m.Close()
	})
}

// Claim: one that reports no more is unknown after 10 s, and forgotten after a minute;
// one whose lease has ended, or whose claim has, is forgotten at once.
func TestManager_Silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		f.own("a")
		one := func(problem string) []Report { return []Report{report("a", problem)} }
		m.each("..........", one)
		expect(t, f, "a healthy")
		time.Sleep(9 * time.Second)
		expect(t, f)
		time.Sleep(3 * time.Second)
		expect(t, f, "a unknown (no report for 11s)")
		if list := m.Agent(agentOf("a")); len(list) != 1 || list[0].State != hawser.HealthUnknown || list[0].Reasons[0] != "no report for 13s" {
			t.Errorf("%+v", list)
		}
		time.Sleep(time.Minute)
		if list := m.Agent(agentOf("a")); len(list) != 0 {
			t.Errorf("not forgotten: %+v", list)
		}
		for name, end := range map[string]func(){
			"lease": func() { m.apply(&fsm.EndLease{Lease: leaseOf("owner of a")}, fsm.Result{}) },
			"claim": func() {
				m.apply(&fsm.Save{}, fsm.Result{Events: []hawser.Event{{Kind: hawser.EventClaimEnded, Name: agentOf("a"), Lease: leaseOf("owner of a")}}})
			},
			"release": func() {
				m.apply(&fsm.Release{Resource: hawser.Resource{Kind: hawser.ResourceClaim, Name: agentOf("a")}, Lease: leaseOf("owner of a")}, fsm.Result{Released: true})
			},
			"import": func() { m.apply(&fsm.ImportStart{}, fsm.Result{}) },
		} {
			m.each(".", one)
			if end(); len(m.Agent(agentOf("a"))) != 0 || m.table.used != 0 || len(m.table.leases) != 0 {
				t.Errorf("%s: something is left: %+v", name, m.table)
			}
		}
		m.Close()
	})
}

// Claim: an owner that stands still is unhealthy by its own limit, one that has said that
// it waits is not.
func TestManager_Progress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		f.own("a")
		steps, waiting := uint64(0), false
		one := func(string) []Report {
			r := report("a", "")
			r.Steps, r.Waiting, r.Limit = steps, waiting, 5*time.Second
			return []Report{r}
		}
		m.each("..........", one)
		expect(t, f, "a unhealthy (no step for 6s, more than 5s)")
		steps++
		m.each(".....", one)
		waiting = true
		m.each("..........", one)
		expect(t, f, "a healthy")
		waiting, steps = false, steps+1
		m.each(".....", one)
		expect(t, f)
		m.each("..", one)
		expect(t, f, "a unhealthy (no step for 6s, more than 5s)")
		m.Close()
	})
}

// Claim: an agent is taken from an unhealthy owner that has asked for that, and given to
// a healthy instance that waits; not to one that is not healthy; and a fresh sign of life
// vetoes it.
func TestManager_HandsOver(t *testing.T) {
	for name, c := range map[string]struct {
		results  string // of the owner
		passive  string // its problem
		yield    bool
		stalled  bool
		saves    bool
		handover bool
	}{
		"asked for":                 {results: "...........xxx", yield: true, handover: true},
		"not asked for":             {results: "...........xxx"},
		"two failures":              {results: "...........xx", yield: true},
		"nobody is better":          {results: "...........xxx", passive: "ill", yield: true},
		"good again":                {results: "x.x.x.x.x.", yield: true},
		"stalled":                   {results: "...........", stalled: true, yield: true, handover: true},
		"stalled, but it has saved": {results: "...........", stalled: true, saves: true, yield: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, f := start(t)
				f.own("a", "passive")
				m.each("..........", func(string) []Report { return []Report{waits("a", "passive", c.passive)} })
				steps := uint64(0)
				m.each(c.results, func(problem string) []Report {
					r := report("a", problem)
					if r.Yield = c.yield; c.stalled {
						r.Limit = 5 * time.Second
					}
					if c.saves {
						m.apply(&fsm.Save{}, fsm.Result{Events: []hawser.Event{{Kind: hawser.EventVersionSaved, Name: agentOf("a")}}})
					}
					r.Steps = steps
					return []Report{r, waits("a", "passive", c.passive)}
				})
				synctest.Wait()
				if got := len(f.ended) > 0; got != c.handover {
					t.Fatalf("handed over: %+v, want %t", f.ended, c.handover)
				}
				if c.handover && (f.ended[0].To != "passive" || f.ended[0].Epoch != 7 || f.ended[0].Agent != agentOf("a") || len(f.ended) != 1) {
					t.Errorf("%+v", f.ended)
				}
				m.Close()
			})
		})
	}
}

// Claim: what cannot be recorded is proposed again, and after a pause of this process
// nobody is taken to be silent who is not.
func TestManager_Repeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		f.own("a")
		f.refuse = hawser.ErrUnavailable
		one := func(problem string) []Report { return []Report{report("a", problem)} }
		m.each("xxxx", one)
		expect(t, f)
		f.mu.Lock()
		f.refuse = nil
		f.mu.Unlock()
		m.each("x", one)
		expect(t, f, "a unhealthy (5 failures in a row: broken)")
		if last := m.look(time.Now().Add(-20 * time.Second)); last.IsZero() || m.State(agentOf("a"), leaseOf("owner of a")) != hawser.HealthUnhealthy {
			t.Error("it is silent after a pause")
		}
		m.Close()
	})
}

// Claim: whatever is reported takes no more than the budget: fewer results are kept of
// many, and at last new ones are not taken.
func TestTable_Budget(t *testing.T) {
	tb := newTable(1)
	now := time.Unix(1_700_000_000, 0)
	tb.keep = minKept // as after many looks
	r := report("a", "")
	for i := range hawser.MaxMetrics {
		r.Metrics = append(r.Metrics, hawser.Metric{Name: fmt.Sprintf("%064d", i)})
	}
	for i := 0; tb.refused == 0; i++ {
		r.Agent.Name, r.Lease = fmt.Sprint(i), leaseOf(fmt.Sprint(i))
		tb.note(&r, 1, now)
	}
	if n := len(tb.agents); n < 25_000 || tb.used > budget+entrySize*2 {
		t.Errorf("%d instances in %d bytes", n, tb.used)
	}
	few := newTable(1)
	for i := range 10_000 {
		r := report(fmt.Sprint(i), "")
		r.Lease = leaseOf(fmt.Sprint(i))
		for range 150 {
			few.note(&r, 1, now)
		}
	}
	few.look(now)
	if few.keep != maxKept || few.used > budget || len(few.find(agentOf("1"), leaseOf("1")).judge.Results()) != maxKept {
		t.Errorf("of 10,000: %d results are kept, in %d bytes", few.keep, few.used)
	}
}

// Claim: who has nothing to do with an agent is not heard; who waits and is granted the
// agent is its owner from then on.
func TestManager_WhoIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		f.own("a", "passive")
		m.Note([]Report{report("a", ""), waits("a", "passive", ""), waits("a", "stranger", ""), report("nobody's", "")})
		if n := len(m.Agent(agentOf("a"))); n != 2 || len(m.Agent(agentOf("nobody's"))) != 0 {
			t.Errorf("%d instances", n)
		}
		ended := hawser.Event{Kind: hawser.EventClaimEnded, Name: agentOf("a"), Lease: leaseOf("owner of a")}
		granted := hawser.Event{Kind: hawser.EventClaimGranted, Name: agentOf("a"), Lease: leaseOf("passive"), Token: 9}
		m.apply(&fsm.EndLease{Lease: leaseOf("owner of a")}, fsm.Result{Events: []hawser.Event{ended, granted}})
		if list := m.Agent(agentOf("a")); len(list) != 1 || list[0].Token != 9 {
			t.Errorf("%+v", list)
		}
		m.Close()
	})
}

// Claim: instances are listed by the names of their agents, page by page, the owner first.
func TestManager_Lists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := start(t)
		for _, name := range []string{"crew/b", "crew/a", "crewman", "other"} {
			f.own(name, "passive")
			m.Note([]Report{waits(name, "passive", ""), report(name, "broken")})
		}
		var names []string
		for _, h := range m.List("default", "crew", "crew/a", 10) {
			names = append(names, fmt.Sprintf("%s/%t", h.Agent.Name, h.Token != 0))
		}
		if want := []string{"crew/b/true", "crew/b/false"}; !reflect.DeepEqual(names, want) {
			t.Errorf("%q, want %q", names, want)
		}
		if n := len(m.List("default", "", "", 2)); n != 4 {
			t.Errorf("%d instances of two agents", n)
		}
		if list := m.Agent(agentOf("other")); len(list) != 2 || len(list[0].Results) != 1 || list[0].Results[0].Problem != "broken" || list[0].Trend.Sample != 1 {
			t.Errorf("%+v", list)
		}
		if counts := m.Counts(); counts[hawser.HealthUnknown] != 8 {
			t.Errorf("%v", counts)
		}
		m.Close()
	})
}

func BenchmarkNote(b *testing.B) {
	tb := newTable(1)
	reports := make([]Report, 10_000)
	for i := range reports {
		reports[i] = report(fmt.Sprint(i), "")
		reports[i].Lease = leaseOf(fmt.Sprint(i))
	}
	now := time.Now()
	b.ReportAllocs()
	for i := range b.N {
		now = now.Add(100 * time.Microsecond)
		tb.note(&reports[i%len(reports)], 1, now)
	}
}
