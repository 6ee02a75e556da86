// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

func mark(index uint64, text string) fsm.Mark {
	return fsm.Mark{Index: index, Digest: xxhash.Sum64String(text)}
}

// group is a log and the replicas that apply it, all in one bubble.
type group struct {
	t      *testing.T
	mu     sync.Mutex // guards all below, and the nodes
	leader int
	index  uint64
	nodes  []*node
	voters int
	audits int
}

// node is one replica. What it does with an entry is a text.
type node struct {
	id      string
	marks   fsm.Marks
	auditor *Auditor
	halted  error
	silent  bool
	delay   time.Duration
	// slow nodes are behind: they apply when they are told to.
	slow   bool
	behind []func()
}

func newGroup(t *testing.T, n int) *group {
	t.Helper()
	g := &group{t: t, voters: n}
	for i := range n {
		g.nodes = append(g.nodes, &node{id: fmt.Sprintf("n%d", i+1)})
	}
	for i, n := range g.nodes {
		auditor, err := New(Config{
			Self: n.id, Marks: func() (fsm.Marks, error) {
				defer g.lock()()
				return n.marks, nil
			},

			Leads: func() bool {
				defer g.lock()()
				return g.leader == i && n.halted == nil
			}, Peers: groupPeers{g},
			Submit: func(_ context.Context, c fsm.Command) (fsm.Result, error) {
				g.apply("audit", c.(*fsm.Audit))
				defer g.lock()()
				g.audits++
				return fsm.Result{}, nil
			},
			Halt: func(err error) {
				defer g.lock()()
				n.halted = err
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		n.auditor = auditor
		auditor.Start()
	}
	return g
}

// lock returns what unlocks it.
func (g *group) lock() (unlock func()) {
	g.mu.Lock()
	return g.mu.Unlock
}

// set changes something of the nodes.
func (g *group) set(change func()) {
	defer g.lock()()
	change()
}

func (g *group) close() {
	for _, n := range g.nodes {
		n.auditor.Close()
	}
}

// apply has all replicas apply one entry, each to its own effect.
func (g *group) apply(effect string, audit *fsm.Audit, others ...string) {
	defer g.lock()()
	g.index++
	for i, n := range g.nodes {
		if n.halted != nil {
			continue
		}
		own, index := effect, g.index
		if i < len(others) && others[i] != "" {
			own = others[i]
		}
		step := func() { n.apply(index, own, audit) }
		if n.slow {
			n.behind = append(n.behind, step)
			continue
		}
		step()
	}
}

func (n *node) apply(index uint64, effect string, audit *fsm.Audit) {
	n.marks.Applied = fsm.Mark{Index: index, Digest: xxhash.Sum64String(fmt.Sprint(n.marks.Applied.Digest, index, effect))}
	applied := fsm.Applied{Index: index, Digest: n.marks.Applied.Digest, Commands: []fsm.Command{&fsm.LeaderStart{}}}
	if audit != nil {
		applied.Commands = append(applied.Commands, audit)
		n.marks.Audited = n.marks.Applied
	}
	n.auditor.OnApplied([]fsm.Applied{applied})
}

type groupPeers struct{ g *group }

func (p groupPeers) Voters() []string {
	defer p.g.lock()()
	var ids []string
	for _, n := range p.g.nodes[:p.g.voters] {
		ids = append(ids, n.id)
	}
	return ids
}

func (g *group) find(id string) (a *Auditor, delay time.Duration, deaf bool) {
	defer g.lock()()
	for _, n := range g.nodes {
		if n.id == id {
			return n.auditor, n.delay, n.silent || n.halted != nil
		}
	}
	return nil, 0, false
}

func (p groupPeers) Compare(ctx context.Context, id string, own fsm.Mark) (uint64, bool, error) {
	n, delay, deaf := p.g.find(id)
	if n == nil {
		return 0, false, errors.New("no such node")
	}
	if deaf {
		delay = time.Hour
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	digest, known := n.Compare("somebody", own)
	return digest, known, nil
}

// swap has a node take over the state of another one.
func (g *group) swap(node, donor int) {
	g.t.Helper()
	g.set(func() { g.nodes[node].marks = g.nodes[donor].marks })
	if err := g.nodes[node].auditor.OnSwapped(); err != nil {
		g.t.Fatal(err)
	}
}

// check waits and says how each node is: "ok", "held" or "stopped".
func (g *group) check(after time.Duration, want string) {
	g.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	defer g.lock()()
	var got []string
	for _, n := range g.nodes {
		how := "ok"
		if n.halted != nil {
			how = "stopped"
			if stopped, ok := errors.AsType[*halt.Error](n.halted); !ok || stopped.Reason != halt.Diverged {
				g.t.Errorf("%s stopped with %v", n.id, n.halted)
			}
		} else if err := n.auditor.Held(); err != nil {
			how = "held"
			if !errors.Is(err, hawser.ErrUnavailable) {
				g.t.Errorf("%s is held by %v", n.id, err)
			}
		}
		got = append(got, how)
	}
	if strings.Join(got, " ") != want {
		g.t.Fatalf("nodes are %q, want %q", strings.Join(got, " "), want)
	}
}

func TestAuditor(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(g *group)
	}{
		{"replicas that agree go on", func(g *group) {
			for range 10 {
				g.apply("a save", nil)
				g.check(700*time.Millisecond, "ok ok ok")
			}
			if g.audits < 6 || g.audits > 8 {
				g.t.Errorf("%d audits in 7 s", g.audits)
			}
		}},
		{"one write has two audits: one that covers it, one that tells", func(g *group) {
			g.apply("a save", nil, "", "", "another")
			g.check(time.Minute, "ok ok stopped")
			if g.audits != 2 {
				g.t.Errorf("%d audits of one write", g.audits)
			}
			g.apply("a save", nil)
			g.check(time.Minute, "ok ok stopped")
			if g.audits != 4 {
				g.t.Errorf("%d audits of two writes", g.audits)
			}
		}},
		{"a follower that differs stops within two intervals", func(g *group) {
			g.apply("a save", nil, "", "", "another")
			g.check(2*DefaultEvery-time.Millisecond, "ok ok ok")
			g.check(time.Millisecond, "ok ok stopped")
			g.apply("a save", nil)
			g.check(time.Minute, "ok ok stopped")
		}},
		{"a leader that differs stops", func(g *group) {
			g.apply("a save", nil, "another")
			g.check(1500*time.Millisecond, "ok ok ok")
			g.apply("a save", nil)
			g.check(time.Second, "stopped ok ok")
			g.set(func() { g.leader = 1 })
			g.apply("the next leader", nil)
			g.check(time.Minute, "stopped ok ok")
		}},
		{"three that differ refuse writes, for ever", func(g *group) {
			g.apply("a save", nil, "one", "two", "three")
			g.check(1500*time.Millisecond, "ok ok ok")
			g.apply("a save", nil)
			g.check(time.Second, "held held held")
			g.check(time.Minute, "held held held")
		}},
		{"a silent voter leaves it open, until it answers", func(g *group) {
			g.set(func() { g.nodes[1].silent, g.nodes[1].slow = true, true })
			g.apply("a save", nil, "", "", "another")
			g.check(1500*time.Millisecond, "ok ok ok")
			g.apply("a save", nil)
			g.check(time.Minute, "held ok held")
			g.set(func() { g.nodes[1].silent, g.nodes[1].slow = false, false })
			g.set(func() {
				for _, step := range g.nodes[1].behind {
					step()
				}
			})
			g.check(3*time.Second, "ok ok stopped")
		}},
		{"a state that was replaced has nothing to answer for", func(g *group) {
			g.set(func() { g.nodes[1].silent, g.nodes[1].slow = true, true })
			g.apply("a save", nil, "", "", "another")
			g.check(1500*time.Millisecond, "ok ok ok")
			g.apply("a save", nil)
			g.check(time.Minute, "held ok held")
			g.swap(2, 0)
			g.check(3*time.Second, "held ok ok") // the same state counts once
			g.set(func() { g.nodes[1].silent, g.nodes[1].slow = false, false })
			g.set(func() {
				for _, step := range g.nodes[1].behind {
					step()
				}
			})
			g.check(3*time.Second, "ok ok ok")
		}},
		{"a wrong state that is fetched before it is noticed does not count twice", func(g *group) {
			g.apply("a save", nil)
			g.check(3*DefaultEvery, "ok ok ok")
			g.apply("a save", nil, "another")
			g.swap(2, 0)
			g.check(3*DefaultEvery, "held held held")
			g.apply("a save", nil)
			g.check(time.Minute, "held held held")
		}},
		{"a state that was fetched counts when two others have confirmed it", func(g *group) {
			g.apply("a save", nil)
			g.check(3*DefaultEvery, "ok ok ok")
			for i := range 6 { // every node in turn, twice
				g.swap(i%3, (i+1)%3)
				if g.nodes[i%3].auditor.votes() {
					g.t.Fatal("it votes at once")
				}
				g.apply("a save", nil)
				g.check(3*DefaultEvery, "ok ok ok")
				if !g.nodes[i%3].auditor.votes() {
					g.t.Fatal("it never votes again")
				}
			}
			g.apply("a save", nil, "", "another")
			g.check(3*DefaultEvery, "ok stopped ok")
		}},
		{"where there is one other voter, it counts after ten audits", func(g *group) {
			g.set(func() { g.voters = 2 })
			g.apply("a save", nil)
			g.check(3*DefaultEvery, "ok ok ok")
			g.swap(1, 0)
			for range 9 {
				g.apply("a save", nil)
				g.check(DefaultEvery, "ok ok ok")
			}
			if g.nodes[1].auditor.votes() {
				g.t.Error("it votes too soon")
			}
			g.set(func() { g.nodes[0].silent = true }) // then it begins anew
			g.apply("a save", nil)
			g.check(3*askTime, "ok ok ok")
			g.set(func() { g.nodes[0].silent = false })
			for range 12 {
				g.apply("a save", nil)
				g.check(DefaultEvery, "ok ok ok")
			}
			if !g.nodes[1].auditor.votes() {
				g.t.Error("it never votes")
			}
		}},
		{"a standby that differs stops", func(g *group) {
			g.set(func() { g.voters = 2 })
			g.apply("a save", nil, "", "", "another")
			g.check(1500*time.Millisecond, "ok ok ok")
			g.apply("a save", nil)
			g.check(time.Second, "ok ok stopped")
		}},
		{"a leader that is told last stops all the same", func(g *group) {
			g.set(func() { g.nodes[0].delay = askTime / 2 })
			g.apply("a save", nil, "another")
			g.check(2*DefaultEvery+100*time.Millisecond, "ok ok ok")
			g.check(askTime, "stopped ok ok")
		}},
		{"a leader that cannot be told for a while stops all the same", func(g *group) {
			g.set(func() { g.nodes[0].silent = true })
			g.apply("a save", nil, "another")
			g.check(20*time.Second, "ok ok ok")
			g.set(func() { g.nodes[0].silent = false })
			g.check(2*askTime+100*time.Millisecond, "stopped ok ok")
		}},
		{"one that says another digest stops nobody and holds nothing up", func(g *group) {
			g.apply("a save", nil)
			g.check(3*DefaultEvery, "ok ok ok")
			liar := g.nodes[1].marks.Audited
			liar.Digest++
			for range 100 {
				if digest, known := g.nodes[0].auditor.Compare("somebody", liar); !known || digest == liar.Digest {
					g.t.Fatalf("it was told %x, %v", digest, known)
				}
				g.check(time.Millisecond, "ok ok ok")
			}
		}},
		{"a state that is replaced while the node asks is not stopped", func(g *group) {
			g.set(func() { g.nodes[0].delay, g.nodes[1].delay = time.Second, time.Second })
			g.apply("a save", nil, "", "", "another")
			g.check(2*DefaultEvery+100*time.Millisecond, "ok ok held")
			g.swap(2, 0)
			g.check(time.Minute, "ok ok ok")
		}},
		{"a state is vetted by who has had it", func(g *group) {
			g.apply("a save", nil)
			g.check(3*DefaultEvery, "ok ok ok")
			good, bad := g.nodes[0].marks, g.nodes[0].marks
			bad.Audited.Digest++
			unknown := fsm.Marks{Audited: mark(1<<40, "from elsewhere")}
			vet := func(m fsm.Marks) error { return g.nodes[2].auditor.Vet(g.t.Context(), []string{"n1", "n2"}, m) }
			if err := errors.Join(vet(good), vet(unknown)); err != nil {
				g.t.Error(err)
			}
			g.set(func() { // so that the suspicion lasts
				for _, n := range g.nodes {
					n.delay = 100 * time.Millisecond
				}
			})
			if err := vet(bad); err == nil || g.nodes[0].auditor.Doubt() == nil {
				g.t.Errorf("a state that nobody has had: %v, and the others suspect nothing", err)
			}
			g.check(time.Second, "ok ok ok")
			if err := g.nodes[0].auditor.Doubt(); err != nil {
				g.t.Errorf("a majority agrees, and still: %v", err)
			}
		}},
		{"a restart forgets nothing of the last audit", func(g *group) {
			g.apply("a save", nil, "", "", "another")
			g.check(1500*time.Millisecond, "ok ok ok")
			n := g.nodes[2]
			n.auditor.Close()
			again, err := New(n.auditor.cfg)
			if err != nil {
				g.t.Fatal(err)
			}
			g.set(func() { n.auditor = again })
			again.Start()
			g.apply("a save", nil)
			g.check(time.Second, "ok ok stopped")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, 3)
				defer g.close()
				c.run(g)
			})
		})
	}
}
