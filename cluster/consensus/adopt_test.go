// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
)

// checkpointDir returns a checkpoint, on the group's file system, of a machine
// that applied entries 1..index of a term.
func checkpointDir(t testing.TB, base string, index, term uint64) (string, fsm.Meta) {
	t.Helper()
	m, err := fsm.Open(filepath.Join(base, "other"), fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close(); _ = os.RemoveAll(filepath.Join(base, "other")) }()
	apply := []fsm.Entry{{Index: 1, Term: 1, Kind: fsm.EntryConfiguration, Data: raft.EncodeConfiguration(abc)}}
	for i := uint64(2); i <= index; i++ {
		apply = append(apply, fsm.Entry{Index: i, Term: term, Kind: fsm.EntryCommand, Data: command(t, "a", i, 100)})
	}
	if _, err := m.Apply(apply); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "checkpoint")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	meta, err := m.Checkpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, meta
}

// adopting is member A with entry 1 and entries 2..stale of term 2 that were
// never committed, at rest; then Adopt is called on its directory, cut short
// after a step.
func adopting(t *testing.T, kind string, stale uint64) (g *group, adopt func(dir string, meta fsm.Meta, cut string) error) {
	t.Helper()
	g = newGroup(t, 0, func(c *Config) { passive(c); c.LogStore = kind })
	a := g.start("A")
	if stale > 0 {
		if err := a.replica.Bootstrap([]string{"A", "B", "C"}); err != nil {
			t.Fatal(err)
		}
		s := &script{t, plain(t, g.hub, "C")}
		s.stale(stale)
	}
	g.stop("A")
	return g, func(dir string, meta fsm.Meta, cut string) error {
		m, err := fsm.Open(filepath.Join(a.dir, "state"), fsm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Discard() }()
		return Adopt(Config{
			ID: "A", Dir: a.dir, LogStore: kind, Machine: m, Logger: testLogger(t), segmentSize: 1 << 20,
			afterStep: func(step string) error {
				if step == cut {
					return errCut
				}
				return nil
			},
		}, dir, meta)
	}
}

var errCut = errors.New("killed here")

// A replica takes over a checkpoint that was fetched, new or with a log that
// conflicts with it or ends before it, and follows the leader from there. A
// kill after any step leaves a directory that opens with the old state or the
// new one, and that takes the checkpoint when it is tried again.
func TestAdopt_SurvivesAKillAtEveryStep(t *testing.T) {
	for _, kind := range logKinds {
		for name, stale := range map[string]uint64{"new": 0, "log before it": 3, "log past it, of another term": 9} {
			for _, cut := range []string{"", "term", "intent", "swap", "reset"} {
				t.Run(kind+"/"+name+"/"+cut, func(t *testing.T) {
					g, adopt := adopting(t, kind, stale)
					dir, meta := checkpointDir(t, g.base, 5, 3)
					if err := adopt(dir, meta, cut); (err != nil) != (cut != "") || cut != "" && !errors.Is(err, errCut) {
						t.Fatalf("adopt: %v", err)
					}
					a := g.start("A")
					applied, _ := a.machine.Applied()
					if done := cut == "" || cut == "swap" || cut == "reset"; done != (applied == 5) {
						t.Fatalf("applied %d", applied)
					}
					if applied != 5 {
						g.stop("A")
						if err := adopt(dir, meta, ""); err != nil {
							t.Fatalf("adopt again: %v", err)
						}
						a = g.start("A")
					}
					if exists(intentPath(a.dir)) {
						t.Error("the intent stayed")
					}
					s := &script{t, plain(t, g.hub, "C")}
					eventually(t, "A follows", func() bool { return s.next(6) })
					eventually(t, "A applies", func() bool { i, _ := a.machine.Applied(); return i == 6 })
				})
			}
		}
	}
}

// What goes backward, or would drop entries that may have been acknowledged,
// is refused, and nothing changes.
func TestAdopt_Refuses(t *testing.T) {
	g, adopt := adopting(t, LogWAL, 9)
	dir, meta := checkpointDir(t, g.base, 5, 2) // the log holds entry 5 of term 2, and more
	if err := adopt(dir, meta, ""); !errors.Is(err, ErrNotNeeded) {
		t.Errorf("log goes on: %v", err)
	}
	dir, meta = checkpointDir(t, g.base, 12, 3)
	if err := adopt(dir, meta, ""); err != nil {
		t.Fatal(err)
	}
	dir, meta = checkpointDir(t, g.base, 11, 3)
	if err := adopt(dir, meta, ""); !errors.Is(err, ErrNotNeeded) {
		t.Errorf("backward: %v", err)
	}
	if i, _ := g.start("A").machine.Applied(); i != 12 {
		t.Errorf("applied %d", i)
	}
}

// A leader asks before it sends a snapshot, and sends it only if it is wanted.
// One that is refused is asked for again for a while, and raft learns nothing
// that it would have to wait for; neither counts as a match.
func TestTransport_AsksBeforeItSends(t *testing.T) {
	for _, c := range []struct {
		name     string
		decision Install
		sent     bool
		took     time.Duration
		match    uint64
	}{{"taken", InstallTake, true, 0, 9}, {"refused", InstallRefuse, false, 300 * time.Millisecond, 0}, {"skipped", InstallSkip, false, 0, 0}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub()
			tr, from := ours(t, h, "A", &fakeReceiver{term: 3, applied: 8, decision: c.decision}), ours(t, h, "B", &fakeReceiver{})
			from.askInstall = 300 * time.Millisecond
			sent := make(chan struct{}, 1)
			go func() {
				select {
				case rpc := <-tr.Consumer():
					sent <- struct{}{}
					rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
				case <-t.Context().Done():
				}
			}()
			req := &raft.InstallSnapshotRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, SnapshotVersion: 1, Term: 3, LastLogIndex: 9, LastLogTerm: 3, Size: 5,
			}
			var resp raft.InstallSnapshotResponse
			begin := time.Now()
			err := from.InstallSnapshot("A", "A", req, &resp, strings.NewReader("state"))
			if err != nil || !resp.Success || (len(sent) == 1) != c.sent || time.Since(begin) < c.took {
				t.Errorf("%v, success %v, sent %v after %v", err, resp.Success, len(sent) == 1, time.Since(begin))
			}
			if got := from.peers.all()["A"].Match; got != c.match {
				t.Errorf("match is %d, not %d: the log that is needed may be cut", got, c.match)
			}
		})
	}
}

// A replica that got a checkpoint in another way says so, and the leader, which
// had given up on its log, goes on from where it ends.
func TestReplica_LeaderGoesOnAfterASkippedInstall(t *testing.T) {
	var asked atomic.Bool
	g := newGroup(t, 3, func(c *Config) {
		littleLog(c)
		if c.ID == "n3" {
			c.OnInstall = func(uint64) Install { asked.Store(true); return InstallSkip }
		}
	})
	leader := g.leader()
	if leader.id == "n3" {
		if err := leader.replica.Transfer(t.Context(), "n1"); err != nil {
			t.Fatal(err)
		}
		leader = g.leader("n3")
	}
	away := g.members["n3"]
	g.propose(leader, 1, 10)
	g.stop("n3")
	g.propose(leader, 50, 1<<10)
	if err := leader.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(g.base, "fetched")
	meta, err := leader.machine.Checkpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first, _ := leader.replica.Reach(); first < 10 || first > meta.Index {
		t.Fatalf("the log begins at %d, the checkpoint is at %d", first, meta.Index)
	}
	g.propose(leader, 5, 10) // so that what the leader offers is another one
	m, err := fsm.Open(filepath.Join(away.dir, "state"), fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = Adopt(Config{ID: "n3", Dir: away.dir, Machine: m, Logger: testLogger(t), segmentSize: 1 << 20}, dir, meta)
	if err := errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	away = g.start("n3")
	g.same(leader)
	if n := away.replica.Stats().Installs; n != 0 || !asked.Load() {
		t.Errorf("%d installs, asked %v", n, asked.Load())
	}
}

// A replica that does not lead keeps the log from an entry that is held, and
// cuts it when the hold is gone.
func TestReplica_HoldKeepsTheLog(t *testing.T) {
	g := newGroup(t, 3, func(c *Config) { littleLog(c); c.Retention.KeepBehindBytes = 1 << 30 })
	leader := g.leader()
	g.propose(leader, 20, 1<<10)
	g.same(leader)
	f := g.follower(leader)
	f.replica.Hold("new", 10)
	g.propose(leader, 20, 1<<10)
	g.same(leader)
	if err := f.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if first, _ := f.replica.Reach(); first > 10 {
		t.Errorf("the log begins at %d, entry 10 was held", first)
	}
	f.replica.holds.set("new", hold{})
	g.propose(leader, 1, 10)
	g.same(leader)
	if err := f.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if first, _ := f.replica.Reach(); first <= 10 {
		t.Errorf("the log begins at %d, nothing is held", first)
	}
}

// The log from a held entry stays, up to the bound, and no longer than the
// hold lasts.
func TestHolds(t *testing.T) {
	var h holds
	now := time.Now()
	h.set("a", hold{7, now.Add(time.Second)})
	h.set("b", hold{5, now})
	if got := h.lowest(now); got != 5 {
		t.Errorf("lowest %d", got)
	}
	if got := h.lowest(now.Add(time.Millisecond)); got != 7 {
		t.Errorf("lowest %d after one expired", got)
	}
	h.set("a", hold{9, now.Add(time.Second)})
	if got := h.lowest(now.Add(time.Millisecond)); got != 9 {
		t.Errorf("lowest %d after one was replaced", got)
	}
	if got := h.lowest(now.Add(time.Minute)); got != ^uint64(0) {
		t.Errorf("lowest %d of none", got)
	}
}
