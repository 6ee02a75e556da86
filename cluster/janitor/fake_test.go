// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// fakeMachine does what the janitor asks for, roughly as the machine does.
type fakeMachine struct {
	leads atomic.Bool

	mu    sync.Mutex
	level uint32
	stamp uint64
	// garbage has agents with so many reclaim turns left, due the numbers
	// that retention does not keep, dead the rewrites that are worth it and
	// states what they are about.
	garbage map[hawser.AgentID]int
	due     map[hawser.AgentID][]fsm.NumberRange
	dead    map[hawser.AgentID]fsm.Rewrite
	states  map[hawser.AgentID][]byte
	uploads []fsm.Upload
	tombs   []hawser.AgentID
	events  uint64
	// refuse is what every command is answered with, if set.
	refuse error
	scans  int
	seen   []fsm.Command
}

func newFake() *fakeMachine {
	m := &fakeMachine{
		level: 2, stamp: 7, garbage: map[hawser.AgentID]int{}, due: map[hawser.AgentID][]fsm.NumberRange{},
		dead: map[hawser.AgentID]fsm.Rewrite{}, states: map[hawser.AgentID][]byte{},
	}
	m.leads.Store(true)
	return m
}

func agentID(name string) hawser.AgentID { return hawser.AgentID{Namespace: "default", Name: name} }

func (m *fakeMachine) start(t *testing.T) *Janitor {
	t.Helper()
	j := Start(m.config())
	t.Cleanup(j.Close)
	return j
}

func (m *fakeMachine) config() Config {
	return Config{
		View: func() (View, error) { return fakeView{m}, nil }, Garbage: m.garbageAgents, Leads: m.leads.Load,
		Submit: m.submit, Now: time.Now, Level: func() uint32 { return 2 }, Logger: slog.New(slog.DiscardHandler),
	}
}

func (m *fakeMachine) garbageAgents(limit int) ([]hawser.AgentID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	agents := slices.Collect(maps.Keys(m.garbage))
	return agents[:min(limit, len(agents))], nil
}

func (m *fakeMachine) submit(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	select {
	case <-time.After(3 * time.Millisecond):
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, c)
	if m.refuse != nil {
		return fsm.Result{}, m.refuse
	}
	switch c := c.(type) {
	case *fsm.Reclaim:
		if m.garbage[c.Agent]--; m.garbage[c.Agent] == 0 {
			delete(m.garbage, c.Agent)
		}
	case *fsm.RaiseLevel:
		m.level = c.Level
	case *fsm.Prune:
		return m.prune(c), nil
	case *fsm.Replace:
		maps.DeleteFunc(m.dead, func(_ hawser.AgentID, r fsm.Rewrite) bool { return r.Segment == c.Segment && r.Stamp == c.Stamp })
	case *fsm.ExpireUploads:
		m.uploads = slices.DeleteFunc(m.uploads, func(u fsm.Upload) bool {
			return slices.Contains(c.Uploads, u.ID) && u.TouchedAt.UnixNano() < c.Before
		})
	case *fsm.TrimEvents:
		m.events -= min(m.events, 400_000, uint64(c.Before))
	case *fsm.PruneTombs:
		m.tombs = slices.DeleteFunc(m.tombs, func(id hawser.AgentID) bool { return slices.Contains(c.Agents, id) })
	}
	return fsm.Result{}, nil
}

func (m *fakeMachine) prune(c *fsm.Prune) fsm.Result {
	if c.Stamp != m.stamp {
		return fsm.Result{Err: &hawser.Error{Code: hawser.CodeRefused}}
	}
	var res fsm.Result
	if len(m.due[c.Agent]) == 0 {
		return fsm.Result{Err: &hawser.Error{Code: hawser.CodeNotFound}}
	}
	for _, r := range c.Ranges {
		first := &m.due[c.Agent][0]
		if first.From != r.From || r.To > first.To {
			panic("pruned what was not due, or in another order")
		}
		res.Pruned += r.To - r.From + 1
		if first.From = r.To + 1; first.From > first.To {
			m.due[c.Agent] = m.due[c.Agent][1:]
		}
	}
	if len(m.due[c.Agent]) == 0 {
		delete(m.due, c.Agent)
	}
	return res
}

// look waits until the janitor has nothing to do for now, and shows the machine.
func (m *fakeMachine) look(show func()) {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	show()
}

// of returns the commands of a type that were proposed.
func of[T fsm.Command](m *fakeMachine) (list []T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.seen {
		if c, ok := c.(T); ok {
			list = append(list, c)
		}
	}
	return list
}

// fakeView shows the machine as it is, not as it was.
type fakeView struct{ m *fakeMachine }

func (v fakeView) locked(use func(m *fakeMachine)) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	use(v.m)
}

func (v fakeView) Info() (info fsm.Info) {
	v.locked(func(m *fakeMachine) { info.Level = m.level })
	return info
}

func (v fakeView) RetentionStamp() (stamp uint64) {
	v.locked(func(m *fakeMachine) { stamp = m.stamp })
	return stamp
}

func (v fakeView) PruneScan(after hawser.AgentID, limit int, _ time.Time) (items []fsm.Prunable, last hawser.AgentID, more bool, _ error) {
	v.locked(func(m *fakeMachine) {
		m.scans++
		ids := sorted(m.due, after)
		for _, id := range ids[:min(limit, len(ids))] {
			items = append(items, fsm.Prunable{Agent: id, Ranges: slices.Clone(m.due[id])})
			last = id
		}
		more = len(ids) > limit
	})
	return items, last, more, nil
}

func (v fakeView) AgentsAfter(after hawser.AgentID, limit int) (ids []hawser.AgentID, _ error) {
	v.locked(func(m *fakeMachine) { ids = sorted(m.states, after) })
	return ids[:min(limit, len(ids))], nil
}

func (v fakeView) Agent(id hawser.AgentID) (a hawser.Agent, _ error) {
	return hawser.Agent{ID: id, Version: &hawser.Version{}}, nil
}

func (v fakeView) Rewrites(id hawser.AgentID, before uint64) (list []fsm.Rewrite, next uint64, _ error) {
	if before == 0 {
		return nil, 100, nil // the newest have none
	}
	v.locked(func(m *fakeMachine) {
		if r, ok := m.dead[id]; ok {
			list = append(list, r)
		}
	})
	return list, 0, nil
}

func (v fakeView) Materialise(id hawser.AgentID, number uint64) (version hawser.Version, state []byte, _ error) {
	v.locked(func(m *fakeMachine) { state = m.states[id] })
	return hawser.Version{Agent: id, Number: number, SHA256: sha256.Sum256(state)}, state, nil
}

func (v fakeView) Uploads(limit int) (list []fsm.Upload, _ error) {
	v.locked(func(m *fakeMachine) { list = slices.Clone(m.uploads[:min(limit, len(m.uploads))]) })
	return list, nil
}

func (v fakeView) ExpiredSessions(time.Time, int) ([]fsm.SessionRef, error) { return nil, nil }

func (v fakeView) Tombs(_ time.Time, limit int) (list []hawser.AgentID, _ error) {
	v.locked(func(m *fakeMachine) { list = slices.Clone(m.tombs[:min(limit, len(m.tombs))]) })
	return list, nil
}

// EventsToTrim wants events gone as long as there are some of before.
func (v fakeView) EventsToTrim(keep uint64, _ time.Time) (trim hawser.Revision, _ error) {
	v.locked(func(m *fakeMachine) {
		if m.events > keep {
			trim = hawser.Revision(m.events - keep)
		}
	})
	return trim, nil
}

func (v fakeView) Close() error { return nil }

func sorted[T any](of map[hawser.AgentID]T, after hawser.AgentID) []hawser.AgentID {
	ids := slices.SortedFunc(maps.Keys(of), func(a, b hawser.AgentID) int { return cmp.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(ids, func(id hawser.AgentID) bool { return id.Name <= after.Name })
}
