// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// A leader reclaims everything within two turns, in bounded commands, and
// raises the level once; a node that does not lead proposes nothing.
func TestJanitor_WorksOnlyWhileLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.level = 1
		for _, name := range []string{"a", "b", "c"} {
			m.garbage[agentID(name)] = 5
		}
		m.leads.Store(false)
		m.start(t)

		time.Sleep(5 * turn)
		m.look(func() {
			if len(m.seen) != 0 {
				t.Errorf("proposed %d commands without leading", len(m.seen))
			}
		})
		m.leads.Store(true)
		time.Sleep(2 * turn)
		m.look(func() {
			if len(m.garbage) != 0 || m.level != 2 {
				t.Errorf("left %v, level %d", m.garbage, m.level)
			}
			if want := 3*5 + 1; len(m.seen) != want {
				t.Errorf("proposed %d commands, want %d", len(m.seen), want)
			}
		})
	})
}

// A refused or lost command ends the turn instead of spinning.
func TestJanitor_DoesNotSpinOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.garbage[agentID("a")] = 1
		m.refuse = hawser.ErrUnavailable
		m.start(t)
		time.Sleep(3*turn + turn/2)
		m.look(func() {
			if got := len(m.seen); got != 3 {
				t.Errorf("tried %d times in three turns", got)
			}
		})
	})
}

// A pass removes all that is due, from many agents and from large ones, in
// commands that the machine takes and with pauses between them; then nothing is
// looked at until the minute is over or a policy has changed.
func TestJanitor_Prunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		total := 0
		for i := range 3*scanAgents/2 + 7 {
			m.due[agentID(fmt.Sprintf("small%04d", i))] = []fsm.NumberRange{{From: 1, To: 1}, {From: 5, To: 6}}
			total += 3
		}
		m.due[agentID("large")] = []fsm.NumberRange{{From: 1, To: 5000}}
		total += 5000
		j := m.start(t)
		time.Sleep(20 * time.Second)
		looked := 0
		m.look(func() {
			if looked = m.scans; len(m.due) != 0 || j.Stats().Pruned != int64(total) {
				t.Errorf("%d agents have something due, %d of %d pruned", len(m.due), j.Stats().Pruned, total)
			}
		})
		for _, c := range of[*fsm.Prune](m) {
			n := uint64(0)
			for _, r := range c.Ranges {
				n += r.To - r.From + 1
			}
			if n == 0 || n > maxNumbers {
				t.Fatalf("a command removes %d versions", n)
			}
		}
		time.Sleep(30 * time.Second)
		m.look(func() {
			if m.scans != looked {
				t.Errorf("looked %d times more within a minute", m.scans-looked)
			}
		})
		time.Sleep(30 * time.Second)
		m.look(func() {
			if m.scans != looked+1 {
				t.Errorf("looked %d times more after a minute", m.scans-looked)
			}
			m.stamp++
			m.due[agentID("x")] = []fsm.NumberRange{{From: 3, To: 4}}
		})
		time.Sleep(2 * turn)
		m.look(func() {
			if len(m.due) != 0 {
				t.Error("a change of policy waited for the next pass")
			}
		})
	})
}

// A policy that changes in the middle of a pass ends it: what it found is
// refused, and the next one goes by the new policy.
func TestJanitor_PolicyChangesInAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.due[agentID("a")] = []fsm.NumberRange{{From: 1, To: 5000}}
		m.start(t)
		time.Sleep(turn + 50*time.Millisecond)
		fakeView{m}.locked(func(m *fakeMachine) { m.stamp++ })
		time.Sleep(10 * time.Second)
		commands := of[*fsm.Prune](m)
		m.look(func() {
			if first, last := commands[0].Stamp, commands[len(commands)-1].Stamp; first != 7 || last != 8 || len(m.due) != 0 {
				t.Errorf("stamps from %d to %d, left %v", first, last, m.due)
			}
		})
	})
}

// An agent that is deleted in the middle of a pass neither ends nor delays it,
// and is no reason for a warning.
func TestJanitor_AgentDeletedInAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		for i := range 3 * scanAgents {
			m.due[agentID(fmt.Sprintf("a%04d", i))] = []fsm.NumberRange{{From: 1, To: 300}}
		}
		cfg, log := m.config(), &bytes.Buffer{}
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		j := Start(cfg)
		defer j.Close()
		time.Sleep(turn + 50*time.Millisecond)
		fakeView{m}.locked(func(m *fakeMachine) {
			for _, i := range []int{20, 40, 60} {
				delete(m.due, agentID(fmt.Sprintf("a%04d", i)))
			}
		})
		for left := 1; left > 0; {
			time.Sleep(100 * time.Millisecond)
			m.look(func() { left = len(m.due) })
		}
		m.look(func() {
			if m.scans != 3 || log.Len() > 0 {
				t.Errorf("looked %d times for three hundred agents; logged %s", m.scans, log)
			}
		})
	})
}

// Agents that were pruned, and in time all others, are looked at for dead
// weight; the keyframe that is proposed gives the version back, in parts when
// it is large; what is not worth it is left alone. In true time, because the
// codec's goroutines outlive a bubble.
func TestJanitor_Rewrites(t *testing.T) {
	m := newFake()
	large := make([]byte, 2*record.MaxInline+1)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	for i, state := range [][]byte{bytes.Repeat([]byte("small"), 1000), large, []byte("not worth it")} {
		id := agentID(fmt.Sprint("a", i))
		m.states[id] = state
		m.dead[id] = fsm.Rewrite{Agent: id, Number: 9, Segment: uint64(i + 1), Position: 8, Stamp: 3, Dead: 1 << 20, Keyframe: 1000}
	}
	few := m.dead[agentID("a2")]
	few.Dead = 100
	m.dead[agentID("a2")] = few
	m.due[agentID("a0")] = []fsm.NumberRange{{From: 1, To: 8}}
	j := &Janitor{cfg: m.config(), pace: newPace()}
	if !j.scan() || !j.rewrite(t.Context()) || len(of[*fsm.Replace](m)) != 0 {
		t.Fatal("rewritten before it was pruned")
	}
	if !j.prune(t.Context()) || !j.rewrite(t.Context()) || len(of[*fsm.Replace](m)) != 1 {
		t.Fatal("not rewritten after it was pruned")
	}
	for j.walk(2) {
		for j.rewrite(t.Context()) {
			continue
		}
	}
	if len(m.dead) != 1 || j.Stats().Rewrites != 2 || j.Stats().Freed < 1<<20 {
		t.Fatalf("left %v, %+v", m.dead, j.Stats())
	}
	parts := map[uint32][]byte{}
	for _, p := range of[*fsm.Part](m) {
		parts[p.Index] = p.Data
	}
	for _, c := range of[*fsm.Replace](m) {
		for index := range c.Content.Parts {
			c.Content.Data = append(c.Content.Data, parts[index]...)
		}
		got, err := c.Content.Decode(hawser.MaxStateSize)
		if want := m.states[agentID(fmt.Sprint("a", c.Segment-1))]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("segment %d: %d bytes for %d, %v", c.Segment, len(got), len(want), err)
		}
		if c.Position != 8 || c.Stamp != 3 || (c.Content.Parts > 0) != (c.Segment == 2) {
			t.Errorf("segment %d: %d parts, position %d, stamp %d", c.Segment, c.Content.Parts, c.Position, c.Stamp)
		}
	}
}

// Uploads go ten minutes after their last part and not before, tombs are asked
// for with their time.
func TestJanitor_Expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.uploads = []fsm.Upload{{ID: [16]byte{1}, TouchedAt: time.Now()}, {ID: [16]byte{2}, TouchedAt: time.Now().Add(5 * time.Minute)}}
		m.tombs = []hawser.AgentID{agentID("a")}
		m.events = 2_000_000
		m.start(t)
		time.Sleep(uploadTime - turn)
		m.look(func() {
			if m.events != keptEvents {
				t.Errorf("%d events are left", m.events)
			}
			if len(m.uploads) != 2 || len(m.tombs) != 0 {
				t.Errorf("uploads %v, tombs %v", m.uploads, m.tombs)
			}
		})
		time.Sleep(2 * expireEvery)
		m.look(func() {
			if len(m.uploads) != 1 || m.uploads[0].ID != [16]byte{2} {
				t.Errorf("uploads %v", m.uploads)
			}
		})
		for _, c := range of[*fsm.PruneTombs](m) {
			if age := time.Since(time.Unix(0, c.Before)); age < tombTime {
				t.Errorf("tombs of %s ago are removed", age)
			}
		}
	})
}
