// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// fakeMachine has agents with so many reclaim turns left.
type fakeMachine struct {
	mu    sync.Mutex
	left  map[hawser.AgentID]int
	level uint32
	seen  []fsm.Command
}

func (m *fakeMachine) Garbage(limit int) (agents []hawser.AgentID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a := range m.left {
		if len(agents) < limit {
			agents = append(agents, a)
		}
	}
	return agents, nil
}

func (m *fakeMachine) Info() fsm.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fsm.Info{Level: m.level}
}

func (m *fakeMachine) submit(_ context.Context, c fsm.Command) (fsm.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, c)
	switch c := c.(type) {
	case *fsm.Reclaim:
		if m.left[c.Agent]--; m.left[c.Agent] == 0 {
			delete(m.left, c.Agent)
		}
	case *fsm.RaiseLevel:
		m.level = c.Level
	}
	return fsm.Result{}, nil
}

// A leader reclaims everything within two turns, in bounded commands, and
// raises the level once; a node that does not lead proposes nothing.
func TestJanitor_WorksOnlyWhileLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{level: 1, left: map[hawser.AgentID]int{}}
		for _, name := range []string{"a", "b", "c"} {
			m.left[hawser.AgentID{Namespace: "default", Name: name}] = 5
		}
		var leads atomic.Bool
		j := Start(Config{
			Machine: m, Leads: leads.Load, Submit: m.submit, Level: func() uint32 { return 2 },
			Logger: slog.New(slog.DiscardHandler),
		})
		defer j.Close()

		time.Sleep(5 * turn)
		synctest.Wait()
		if len(m.seen) != 0 {
			t.Fatalf("proposed %d commands without leading", len(m.seen))
		}
		leads.Store(true)
		time.Sleep(2 * turn)
		synctest.Wait()
		if len(m.left) != 0 || m.level != 2 {
			t.Fatalf("left %v, level %d", m.left, m.level)
		}
		if want := 3*5 + 1; len(m.seen) != want {
			t.Fatalf("proposed %d commands, want %d", len(m.seen), want)
		}
	})
}

// A refused or lost command ends the turn instead of spinning.
func TestJanitor_DoesNotSpinOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{level: 2, left: map[hawser.AgentID]int{{Namespace: "default", Name: "a"}: 1}}
		var tries atomic.Int32
		j := Start(Config{
			Machine: m, Leads: func() bool { return true }, Level: func() uint32 { return 2 },
			Submit: func(context.Context, fsm.Command) (fsm.Result, error) {
				tries.Add(1)
				return fsm.Result{}, hawser.ErrUnavailable
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		defer j.Close()
		time.Sleep(3*turn + turn/2)
		synctest.Wait()
		if got := tries.Load(); got != 3 {
			t.Fatalf("tried %d times in three turns", got)
		}
	})
}
