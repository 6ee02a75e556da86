// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"

	hawser "github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/halt"
)

// Three replicas elect, replicate, survive the loss of their leader, and one
// that comes back replays what it missed: all digests are equal.
func TestReplica_ElectReplicateFailOverReplay(t *testing.T) {
	for _, kind := range logKinds {
		t.Run(kind, func(t *testing.T) {
			g := newGroup(t, 3, func(c *Config) { c.LogStore = kind })
			first := g.leader()
			g.propose(first, 20, 1000)
			g.same(first)
			g.stop(first.id)
			second := g.leader(first.id)
			g.propose(second, 20, 1000)
			g.start(first.id)
			g.propose(g.leader(), 5, 10)
			g.same(g.leader())
			if second.results == 0 || len(second.leadership) == 0 || len(second.conf.Voters()) != 3 {
				t.Errorf("results %d, leadership %v, configuration %+v", second.results, second.leadership, second.conf)
			}
		})
	}
}

// A leader that was cut off, with entries that nobody else has, comes back
// without divergence.
func TestReplica_CutOffLeaderRejoins(t *testing.T) {
	g := newGroup(t, 3, nil)
	old := g.leader()
	g.propose(old, 5, 100)
	g.hub.isolate(old.id, true)
	for i := range uint64(20) { // until its lease ends it takes what it can never commit
		_ = old.replica.Propose(command(t, "lost", 1<<40+i, 100))
	}
	next := g.leader(old.id)
	g.propose(next, 20, 100)
	eventually(t, "the old leader steps down", func() bool { return !old.replica.IsLeader() })
	g.hub.isolate(old.id, false)
	eventually(t, "the old leader follows", func() bool { return old.replica.Leader() != "" && !old.replica.IsLeader() })
	g.propose(g.leader(), 5, 100)
	g.same(g.leader())
	for id, m := range g.members {
		if err := m.halted(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// little log is kept, so that whoever is away for a moment needs a snapshot.
func littleLog(c *Config) {
	c.Retention = Retention{KeepBytes: 1, KeepBehindBytes: 1, CacheBytes: 1 << 20, SnapshotEvery: time.Hour, SnapshotBytes: 1 << 40}
}

// A follower that is far behind gets the machine's state and goes on from it,
// also with entries of its own that nobody else has, and a new member too.
func TestReplica_FarBehindFollowerIsSentTheState(t *testing.T) {
	g := newGroup(t, 3, littleLog)
	leader := g.leader()
	g.propose(leader, 5, 100)
	behind := g.follower(leader)
	g.stop(behind.id)
	for range 10 {
		g.propose(leader, 3, 1000)
	}
	g.same(leader)
	if err := leader.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if s := leader.replica.Stats(); s.FirstIndex < 30 {
		t.Fatalf("the log begins at %d", s.FirstIndex)
	}
	g.start(behind.id)
	g.propose(leader, 3, 100)
	g.same(leader)
	eventually(t, "the install is counted", func() bool { return behind.replica.Stats().Installs > 0 })
	// Its log begins after the snapshot; a restart on it works.
	g.stop(behind.id)
	g.start(behind.id)
	g.propose(g.leader(), 3, 100)
	g.same(g.leader())

	leader = g.leader()
	if err := leader.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	g.start("n4")
	if err := leader.replica.AddStandby(t.Context(), "n4"); err != nil {
		t.Fatal(err)
	}
	g.same(leader)
}

// While a follower is away the leader keeps the log from its index, up to the
// cap, although raft was told to keep little otherwise.
func TestReplica_KeepsLogForWhoIsBehind(t *testing.T) {
	g := newGroup(t, 3, func(c *Config) { littleLog(c); c.Retention.KeepBehindBytes = 1 << 30 })
	leader := g.leader()
	g.propose(leader, 5, 100)
	g.same(leader)
	behind := g.follower(leader)
	g.stop(behind.id)
	g.propose(leader, 30, 1000)
	if err := leader.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	first := leader.replica.Stats().FirstIndex
	if match := leader.replica.Stats().Peers[behind.id].Match; first > match {
		t.Fatalf("log begins at %d, the follower has %d", first, match)
	}
	g.start(behind.id)
	g.propose(leader, 1, 10)
	g.same(leader)
	if n := behind.replica.Stats().Installs; n != 0 {
		t.Errorf("%d installs", n)
	}
	if err := leader.replica.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if now := leader.replica.Stats().FirstIndex; now <= first {
		t.Errorf("log still begins at %d", now)
	}
}

// Members come as standbys, are promoted on a condition, and leave; a leader
// is removed after it handed over.
func TestReplica_Membership(t *testing.T) {
	g := newGroup(t, 3, nil)
	ctx := t.Context()
	leader := g.leader()
	g.propose(leader, 3, 10)
	g.start("n4")
	if err := leader.replica.AddStandby(ctx, "n4"); err != nil {
		t.Fatal(err)
	}
	conf := leader.replica.Configuration()
	if i := slices.Index(conf.Servers, Server{ID: "n4"}); i < 0 || conf.Index == 0 {
		t.Fatalf("%+v", conf)
	}
	if err := leader.replica.Promote(ctx, "n4", conf.Index-1); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("promotion with an old index: %v", err)
	}
	if err := leader.replica.Promote(ctx, "n4", conf.Index); err != nil {
		t.Fatal(err)
	}
	if err := leader.replica.Promote(ctx, "n9", 0); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("promotion of a stranger: %v", err)
	}
	if err := leader.replica.Remove(ctx, leader.id, 0); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("the leader removes itself: %v", err)
	}
	if err := g.follower(leader).replica.Remove(ctx, "n4", 0); !errors.Is(err, hawser.ErrNotLeader) {
		t.Errorf("a follower removes: %v", err)
	}
	if err := leader.replica.Transfer(ctx, "n9"); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("transfer to a stranger: %v", err)
	}
	if err := leader.replica.Transfer(ctx, "n4"); err != nil {
		t.Fatal(err)
	}
	next := g.leader(leader.id)
	eventually(t, "the new leader can change members", func() bool {
		return next.replica.Remove(ctx, leader.id, 0) == nil || !slices.ContainsFunc(next.replica.Configuration().Servers, func(s Server) bool { return s.ID == leader.id })
	})
	g.stop(leader.id)
	g.propose(next, 3, 10)
	g.same(next)
	eventually(t, "all are told of the configuration", func() bool {
		for _, m := range g.members {
			m.mu.Lock()
			n := len(m.conf.Servers)
			m.mu.Unlock()
			if m.replica != nil && n != 3 {
				return false
			}
		}
		return true
	})
}

// A second bootstrap is refused, and so is one without oneself.
func TestReplica_BootstrapsOnce(t *testing.T) {
	g := newGroup(t, 0, nil)
	m := g.start("n1")
	if m.replica.HasState() {
		t.Error("a new replica has state")
	}
	if err := m.replica.Bootstrap([]string{"n2"}); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("without oneself: %v", err)
	}
	if err := m.replica.Bootstrap([]string{"n1"}); err != nil {
		t.Fatal(err)
	}
	g.propose(g.leader(), 1, 10)
	if err := m.replica.Bootstrap([]string{"n1"}); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("again: %v", err)
	}
	if err := m.replica.Remove(t.Context(), "n1", 0); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("the last voter: %v", err)
	}
	g.stop("n1")
	if m = g.start("n1"); !m.replica.HasState() {
		t.Error("an old replica has no state")
	}
}

// A leadership that is lost and won again between two looks is told as lost
// and won, with its own term.
func TestReplica_ReportsEveryTerm(t *testing.T) {
	var got []Leadership
	r := &Replica{cfg: Config{OnLeadership: func(l Leadership) { got = append(got, l) }}, trans: &transport{}, logs: &logStore{}}
	var seen reported
	for _, l := range []Leadership{{1, false}, {2, true}, {2, true}, {4, true}, {4, false}, {5, false}, {6, true}, {}} {
		r.report(&seen, l)
	}
	want := []Leadership{{2, true}, {2, false}, {4, true}, {4, false}, {6, true}, {6, false}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Restarts of raft in process keep the stores and the machine, and lose
// nothing.
func TestReplica_RestartsRaftInProcess(t *testing.T) {
	g := newGroup(t, 3, nil)
	g.propose(g.leader(), 5, 100)
	for _, m := range g.members {
		m.replica.requestRestart("test")
	}
	for _, m := range g.members {
		eventually(t, "restart of "+m.id, func() bool { return m.replica.Stats().Restarts == 1 })
	}
	g.propose(g.leader(), 5, 100)
	g.same(g.leader())
}

// hangFS blocks fsyncs from a moment on, until released.
type hangFS struct {
	types.VFS
	hang    atomic.Bool
	release chan struct{}
}

func (h *hangFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := h.VFS.Create(dir, name, size)
	return &hangFile{f, h}, err
}

type hangFile struct {
	types.WritableFile
	fs *hangFS
}

func (f *hangFile) Sync() error {
	if f.fs.hang.Load() {
		<-f.fs.release
	}
	return f.WritableFile.Sync()
}

// A leader whose disk hangs (raft#503) does not keep the cluster: it halts, the
// others elect, Propose on it never blocks long, and Close is bounded.
func TestReplica_HungDisk(t *testing.T) {
	disks := map[string]*hangFS{}
	g := newGroup(t, 3, func(c *Config) {
		h := &hangFS{VFS: walfs.New(), release: make(chan struct{})}
		disks[c.ID], c.walFS = h, h
		c.Timeouts.Hang, c.Timeouts.Close = 300*time.Millisecond, 500*time.Millisecond
	})
	leader := g.leader()
	g.propose(leader, 2, 10)
	disks[leader.id].hang.Store(true)
	for i := range uint64(40) { // more than raft's queue takes
		start := time.Now()
		err := leader.replica.Propose(command(t, "x", 1<<40+i, 10))
		if d := time.Since(start); d > 2*proposeWait {
			t.Fatalf("Propose took %v", d)
		}
		if err != nil {
			break
		}
	}
	eventually(t, "the halt", func() bool { return leader.halted() != nil })
	if he, ok := errors.AsType[*halt.Error](leader.halted()); !ok || he.Reason != halt.Hung {
		t.Errorf("halted with %v", leader.halted())
	}
	if leader.replica.IsLeader() {
		t.Error("it still leads")
	}
	g.propose(g.leader(leader.id), 3, 10)
	start := time.Now()
	if err := leader.replica.Close(context.Background()); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("close: %v after %v", err, time.Since(start))
	}
	close(disks[leader.id].release)
	// The machine stays as it is: the process would end now.
	leader.replica = nil
}

// A leader whose fsync fails is not elected again and again (raft#614): it
// halts once and takes no further part.
func TestReplica_FailedDisk(t *testing.T) {
	disks := map[string]*sickFS{}
	g := newGroup(t, 3, func(c *Config) {
		s := &sickFS{VFS: walfs.New()}
		disks[c.ID], c.walFS = s, s
	})
	leader := g.leader()
	g.propose(leader, 2, 10)
	disks[leader.id].sick.Store(true)
	_ = leader.replica.Propose(command(t, "x", 1<<40, 10))
	eventually(t, "the halt", func() bool { return leader.halted() != nil })
	disks[leader.id].sick.Store(false)
	next := g.leader(leader.id)
	g.propose(next, 3, 10)
	if err := leader.replica.Propose(nil); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("propose: %v", err)
	}
	leader.mu.Lock()
	defer leader.mu.Unlock()
	if len(leader.halts) != 1 || leader.replica.Stats().Failure == nil {
		t.Errorf("halts: %v", leader.halts)
	}
}

// A follower does not take entries; a refused future is known as such.
func TestReplica_ProposeErrors(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader := g.leader()
	if err := g.follower(leader).replica.Propose([]byte("x")); !errors.Is(err, hawser.ErrNotLeader) {
		t.Errorf("on a follower: %v", err)
	}
	instance := leader.replica.raft.Load()
	if err := await(t.Context(), instance.Shutdown()); err != nil {
		t.Fatal(err)
	}
	if err := leader.replica.Propose([]byte("x")); err == nil {
		t.Error("taken by a raft that was shut down")
	}
}
