// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// node is a node that may be behind.
type node struct {
	*CatchUp
	mu            sync.Mutex
	last, applied uint64
	adopted       []fsm.Meta
	halts         []error
	// refuse is what Adopt returns.
	refuse error
}

func (n *node) reach() (last, applied uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last, n.applied
}

func (n *node) adopts() []fsm.Meta {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.adopted)
}

// behind returns a node with a fetch directory, that applied an index.
func behind(net *net, dir string, applied uint64) *node {
	n := &node{last: applied, applied: applied}
	n.CatchUp = New(Config{
		Dir: filepath.Join(dir, "fetch"), Members: net, Reach: n.reach, readMeta: readMeta,
		Free: func() (uint64, error) { return 1 << 40, nil },
		Halt: func(err error) { n.halts = append(n.halts, err) },
		Adopt: func(_ context.Context, from string, meta fsm.Meta) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.refuse != nil {
				return n.refuse
			}
			n.last, n.applied, n.adopted = meta.Index, meta.Index, append(n.adopted, meta)
			return os.Rename(from, filepath.Join(dir, fmt.Sprint("state", len(n.adopted))))
		},
	})
	return n
}

// three are two members with a state at 50, of which "b" leads with a log from
// 40, and a third, "c", which has nothing.
func three(t *testing.T, size int) *net {
	t.Helper()
	n := newNet(t, map[string]content{"a": tables(50, 3, size, 1), "b": tables(50, 3, size, 2), "c": {}})
	n.logs["a"] = Log{First: 30, Last: 50, Applied: 50}
	n.logs["b"] = Log{First: 40, Last: 50, Applied: 50, Leads: true}
	n.logs["c"] = Log{First: 0, Last: 0}
	return n
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 10000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not in time: %s", what)
}

// run runs f with fake time, on the network made by make.
func run(t *testing.T, size int, f func(t *testing.T, n *net, dir string)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := three(t, size)
		f(t, n, dir)
		for node := range n.states {
			n.down(node)
		}
	})
}

// A node whose log the leader's does not reach back to fetches the state from a
// member that does not lead, while logs are kept for it, and tells the leader
// that it needs none; a leader that comes back for a good reason is taken
// seriously again.
func TestCatchUp_FetchesAndTellsTheLeader(t *testing.T) {
	run(t, 1000, func(t *testing.T, n *net, dir string) {
		c := behind(n, dir, 20)
		if got := c.OnInstall(50); got != consensus.InstallRefuse {
			t.Errorf("before the start: %v", got)
		}
		c.Start()
		defer c.Close()
		within(t, "adoption", func() bool { return len(c.adopts()) == 1 && !c.isBusy() })
		n.states["a"].same(t, filepath.Join(dir, "state1"))
		n.mu.Lock()
		kept := slices.ContainsFunc(n.asked, func(r LogRequest) bool { return r.Keep && r.From == 50 && r.Progress.Source == "a" })
		n.mu.Unlock()
		if !kept {
			t.Error("nobody was asked to keep the log from the checkpoint on")
		}
		if _, err := os.Stat(c.cfg.Dir); !os.IsNotExist(err) {
			t.Errorf("the fetch stayed: %v", err)
		}
		if got := c.OnInstall(55); got != consensus.InstallSkip {
			t.Errorf("afterwards: %v", got)
		}
		if count, bytes := c.Fetched(); count != 1 || bytes != n.states["a"].bytes() {
			t.Errorf("counted %d, %d bytes", count, bytes)
		}
		c.node(func() { c.last, c.applied = 60, 60 })
		if got := c.OnInstall(90); got != consensus.InstallRefuse {
			t.Errorf("behind again: %v", got)
		}
	})
}

func (n *node) node(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// A node that the leader's log reaches back to fetches nothing, and what an
// earlier fetch left goes; a founder is one.
func TestCatchUp_NotNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		applied uint64
		first   uint64
	}{"log reaches": {40, 40}, "founder": {0, 1}, "up to date": {50, 40}} {
		t.Run(name, func(t *testing.T) {
			run(t, 1000, func(t *testing.T, n *net, dir string) {
				n.logs["b"] = Log{First: c.first, Last: 50, Applied: 50, Leads: true}
				if _, _, err := n.fetcher(filepath.Join(dir, "fetch")).fetch(t.Context(), "a", 1); err != nil {
					t.Fatal(err)
				}
				node := behind(n, dir, c.applied)
				node.Start()
				within(t, "the old fetch is gone", func() bool { _, err := os.Stat(node.cfg.Dir); return os.IsNotExist(err) })
				node.Close()
				if len(node.adopts()) != 0 {
					t.Error("a checkpoint was taken over")
				}
			})
		})
	}
}

// A source that dies in the middle is waited for; when it comes back without
// the checkpoint nothing is fetched twice; when it stays away another one is
// asked.
func TestCatchUp_SourceDies(t *testing.T) {
	for _, returns := range []bool{true, false} {
		t.Run(fmt.Sprintf("returns: %v", returns), func(t *testing.T) {
			run(t, 2*chunk, func(t *testing.T, n *net, dir string) {
				c := behind(n, dir, 20)
				chunks := 0
				n.chunk = func(node, _ string, _ int64, b []byte) ([]byte, error) {
					if chunks++; chunks == 4 {
						go n.down(node)
						return nil, errDown
					}
					return b, nil
				}
				c.Start()
				defer c.Close()
				time.Sleep(2 * time.Second)
				if returns {
					n.up("a")
				}
				within(t, "adoption", func() bool { return len(c.adopts()) == 1 && !c.isBusy() })
				_, bytes := c.Fetched()
				if from := map[bool]string{true: "a", false: "b"}[returns]; true {
					n.states[from].same(t, filepath.Join(dir, "state1"))
				}
				if again := bytes - n.states["a"].bytes(); returns && again != 0 || !returns && again != 3*chunk {
					t.Errorf("%d bytes came in vain", again)
				}
			})
		})
	}
}

// A node that is stopped in the middle goes on when it is started again,
// without the leader's insisting.
func TestCatchUp_Restart(t *testing.T) {
	run(t, 2*chunk, func(t *testing.T, n *net, dir string) {
		chunks, reached := 0, make(chan struct{})
		n.chunk = func(_, _ string, _ int64, b []byte) ([]byte, error) {
			if chunks++; chunks == 4 {
				close(reached)
				return nil, errCut
			}
			return b, nil
		}
		first := behind(n, dir, 20)
		first.Start()
		<-reached
		first.Close()
		second := behind(n, dir, 20)
		second.Start()
		defer second.Close()
		within(t, "adoption", func() bool { return len(second.adopts()) == 1 })
		n.states["a"].same(t, filepath.Join(dir, "state1"))
		_, before := first.Fetched()
		if _, after := second.Fetched(); before+after != n.states["a"].bytes() {
			t.Errorf("%d and %d bytes came of %d", before, after, n.states["a"].bytes())
		}
	})
}

// Attempts that bring nothing end: raft may then send the state for a while,
// and after that the node tries again.
func TestCatchUp_FallsBackToRaft(t *testing.T) {
	for name, spoil := range map[string]func(*net, *node){
		"no leader":   func(n *net, _ *node) { n.logs["b"] = Log{First: 40, Last: 50, Applied: 50} },
		"bad sources": func(n *net, _ *node) { n.manifest = func(m *Manifest) { m.Files[0].Sum[0] ^= 1 } },
		"all too old": func(n *net, _ *node) { n.manifest = func(m *Manifest) { m.Meta.Index = 10 } },
		"refused":     func(_ *net, c *node) { c.refuse = consensus.ErrNotNeeded },
		"log runs away": func(n *net, _ *node) {
			n.manifest = func(*Manifest) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.logs["b"] = Log{First: 60, Last: 70, Applied: 70, Leads: true}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1000, func(t *testing.T, n *net, dir string) {
				c := behind(n, dir, 20)
				spoil(n, c)
				c.OnInstall(50)
				c.Start()
				defer c.Close()
				within(t, "the fallback", func() bool { return c.OnInstall(50) == consensus.InstallTake })
				if len(c.adopts()) != 0 || len(c.halts) != 0 {
					t.Errorf("%v, %v", c.adopts(), c.halts)
				}
				time.Sleep(fallBackFor)
				if got := c.OnInstall(50); got != consensus.InstallRefuse {
					t.Errorf("later: %v", got)
				}
			})
		})
	}
}

// A leader whose log never reaches back to the checkpoints taken over does not
// keep the node fetching.
func TestCatchUp_UselessFetchesEnd(t *testing.T) {
	run(t, 1000, func(t *testing.T, n *net, dir string) {
		c := behind(n, dir, 20)
		c.Start()
		defer c.Close()
		within(t, "the fallback", func() bool {
			n.mu.Lock() // a newer state each time
			index := uint64(50 + 10*len(c.adopts()))
			n.states["a"] = tables(index, 3, 1000, 1)
			n.logs["a"] = Log{First: 30, Last: index, Applied: index}
			n.logs["b"] = Log{First: index - 5, Last: index, Applied: index, Leads: true}
			n.mu.Unlock()
			time.Sleep(2 * time.Minute) // so that no old checkpoint is shared
			return c.OnInstall(index) == consensus.InstallTake
		})
		if got := len(c.adopts()); got != 2 {
			t.Errorf("%d checkpoints were taken over", got)
		}
	})
}

// An error of the stores while a checkpoint is taken over stops the node.
func TestCatchUp_Halts(t *testing.T) {
	run(t, 1000, func(t *testing.T, n *net, dir string) {
		c := behind(n, dir, 20)
		c.refuse = &halt.Error{Reason: halt.Engine, Where: "state", Err: errCut}
		c.Start()
		time.Sleep(time.Minute)
		c.Close()
		if len(c.halts) != 1 {
			t.Errorf("told %v", c.halts)
		}
	})
}

// Progress is told in words.
func TestProgress_String(t *testing.T) {
	for want, p := range map[string]Progress{
		"":                        {},
		"asking n1 for its state": {Source: "n1"},
		"n1 is preparing its state to be fetched: 50 % of 2.0 MiB": {Source: "n1", Done: 1 << 20, Total: 2 << 20},
		"fetching the state from n1: 25 % of 4.0 MiB":              {Source: "n1", Index: 7, Done: 1 << 20, Total: 4 << 20},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
