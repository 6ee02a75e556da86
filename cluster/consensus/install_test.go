// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/logbridge"
)

var abc = raft.Configuration{Servers: []raft.Server{{ID: "A", Address: "A"}, {ID: "B", Address: "B"}, {ID: "C", Address: "C"}}}

// checkpointAt returns the stream of a machine that applied entries 1..index
// of a term, and what an InstallSnapshot request says about it.
func checkpointAt(t testing.TB, index, term uint64) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	dir := t.TempDir()
	m, err := fsm.Open(filepath.Join(dir, "state"), fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	apply := []fsm.Entry{{Index: 1, Term: 1, Kind: fsm.EntryConfiguration, Data: raft.EncodeConfiguration(abc)}}
	for i := uint64(2); i <= index; i++ {
		apply = append(apply, fsm.Entry{Index: i, Term: term, Kind: fsm.EntryCommand, Data: command(t, "a", i, 100)})
	}
	if _, err := m.Apply(apply); err != nil {
		t.Fatal(err)
	}
	s, err := newSnapshotStore(dir, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	meta, r, err := s.Open("")
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != meta.Size {
		t.Fatalf("stream has %d bytes, announced were %d", len(data), meta.Size)
	}
	return meta, data
}

// script drives member A by hand, as leader C and as the older leader B.
type script struct {
	t    testing.TB
	from raft.Transport
}

func header(id string) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: 3, ID: []byte(id), Addr: []byte(id)}
}

// stale leaves B's uncommitted entries [2, to] of term 2 on A.
func (s *script) stale(to uint64) {
	s.t.Helper()
	var logs []*raft.Log
	for i := uint64(2); i <= to; i++ {
		logs = append(logs, sealed(raft.Log{Index: i, Term: 2, Type: raft.LogCommand, Data: []byte("stale")}))
	}
	req := &raft.AppendEntriesRequest{RPCHeader: header("B"), Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: logs}
	var resp raft.AppendEntriesResponse
	if err := s.from.AppendEntries("A", "A", req, &resp); err != nil || !resp.Success {
		s.t.Fatalf("stale entries: %v, success %v", err, resp.Success)
	}
}

// install sends C's snapshot to A.
func (s *script) install(meta *raft.SnapshotMeta, data []byte) error {
	req := &raft.InstallSnapshotRequest{
		RPCHeader: header("C"), SnapshotVersion: meta.Version, Term: 3, LastLogIndex: meta.Index, LastLogTerm: meta.Term,
		Configuration: raft.EncodeConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex, Size: int64(len(data)),
	}
	var resp raft.InstallSnapshotResponse
	if err := s.from.InstallSnapshot("A", "A", req, &resp, bytes.NewReader(data)); err != nil {
		return err
	}
	if !resp.Success {
		return errors.New("not installed")
	}
	return nil
}

// next sends C's entry index, which follows one of term 3, and commits it.
func (s *script) next(index uint64) bool {
	entry := sealed(raft.Log{Index: index, Term: 3, Type: raft.LogCommand, Data: command(s.t, "a", index, 10)})
	req := &raft.AppendEntriesRequest{
		RPCHeader: header("C"), Term: 3, PrevLogEntry: index - 1, PrevLogTerm: 3, Entries: []*raft.Log{entry}, LeaderCommitIndex: index,
	}
	var resp raft.AppendEntriesResponse
	return s.from.AppendEntries("A", "A", req, &resp) == nil && resp.Success
}

// passive is a replica that never stands for election.
func passive(c *Config) {
	c.Timeouts.Heartbeat, c.Timeouts.Lease = time.Minute, time.Minute
}

// raft#697: a follower with uncommitted entries at or past the snapshot's index
// keeps refusing what follows the snapshot and gets it again, for ever. Ours
// takes the next entry after at most two installs, one of which may be
// answered without installing.
func TestReplica_CatchesUpAfterASnapshot(t *testing.T) {
	meta, data := checkpointAt(t, 5, 3)
	for _, kind := range logKinds {
		for name, to := range map[string]uint64{"stale past it": 9, "stale up to it": 5, "stale before it": 4} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				g := newGroup(t, 0, func(c *Config) { passive(c); c.LogStore = kind })
				a := g.start("A")
				if err := a.replica.Bootstrap([]string{"A", "B", "C"}); err != nil {
					t.Fatal(err)
				}
				s := &script{t, plain(t, g.hub, "C")}
				s.stale(to)
				rounds := 0
				eventually(t, "A follows", func() bool {
					if s.next(6) {
						return true
					}
					if rounds++; rounds > 200 { // while raft restarts it answers nothing new
						t.Fatal("no end of installs")
					}
					_ = s.install(meta, data)
					return s.next(6)
				})
				eventually(t, "A applies", func() bool { i, _ := a.machine.Applied(); return i == 6 })
				if n := a.replica.Stats().Installs; n > 3 {
					t.Errorf("%d installs", n)
				}
				g.stop("A")
				g.start("A") // and its directory is sound
				if err := a.halted(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The trap itself, on raft's own stores: four rounds and still refused.
func TestReplica_SnapshotLivelockOfPlainRaft(t *testing.T) {
	for name, to := range map[string]uint64{"stale past it": 9, "stale up to it": 5} {
		t.Run(name, func(t *testing.T) {
			h := newHub()
			a := plain(t, h, "A")
			conf := raft.DefaultConfig()
			conf.HeartbeatTimeout, conf.ElectionTimeout = time.Minute, time.Minute
			conf.LocalID, conf.Logger = "A", logbridge.HCLog(testLogger(t).Handler())
			store, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
			if err := raft.BootstrapCluster(conf, store, store, snaps, a, abc); err != nil {
				t.Fatal(err)
			}
			r, err := raft.NewRaft(conf, &listFSM{}, store, store, snaps, a)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Shutdown()
			s := &script{t, plain(t, h, "C")}
			s.stale(to)
			for range 4 {
				if err := s.install(&raft.SnapshotMeta{Version: 1, Index: 5, Term: 3, Configuration: abc, ConfigurationIndex: 1}, []byte("S5")); err != nil {
					t.Fatal(err)
				}
				if s.next(6) {
					t.Fatal("plain raft follows after a snapshot: its trap is gone")
				}
			}
		})
	}
}

// A snapshot that breaks off or is damaged leaves nothing behind, and the
// replica goes on.
func TestReplica_InterruptedInstallLeavesNothing(t *testing.T) {
	meta, data := checkpointAt(t, 5, 3)
	flipped := bytes.Clone(data)
	flipped[len(data)/2] ^= 1
	g := newGroup(t, 0, passive)
	a := g.start("A")
	if err := a.replica.Bootstrap([]string{"A", "B", "C"}); err != nil {
		t.Fatal(err)
	}
	s := &script{t, plain(t, g.hub, "C")}
	for name, bad := range map[string][]byte{"cut": data[:len(data)/2], "flipped": flipped, "garbage": []byte("garbage")} {
		if err := s.install(meta, bad); err == nil {
			t.Errorf("%s: installed", name)
		}
		left, err := os.ReadDir(filepath.Join(a.dir, installDir))
		if err != nil && !os.IsNotExist(err) || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if err := s.install(meta, data); err != nil {
		t.Fatal(err)
	}
	eventually(t, "A follows", func() bool { return s.next(6) })
	if err := a.halted(); err != nil {
		t.Error(err)
	}
}

// A crash between the swap of the machine and the emptying of the log looks
// like damage: the intent tells them apart. With it the replica starts, and
// without it is quarantined.
func TestReplica_CrashBetweenSwapAndReset(t *testing.T) {
	for _, kind := range logKinds {
		for name, intent := range map[string]bool{"with the intent": true, "without": false} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				g := newGroup(t, 0, func(c *Config) { passive(c); c.LogStore = kind })
				a := g.start("A")
				if err := a.replica.Bootstrap([]string{"A", "B", "C"}); err != nil {
					t.Fatal(err)
				}
				s := &script{t, plain(t, g.hub, "C")}
				s.stale(9)
				meta, data := checkpointAt(t, 5, 3)
				// Do by hand what Restore does, up to the crash.
				sk, err := a.replica.snaps.Create(1, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := sk.Write(data); err != nil {
					t.Fatal(err)
				}
				if err := sk.Close(); err != nil {
					t.Fatal(err)
				}
				r := a.replica.snaps.take(sk.ID())
				if err := a.replica.stable.SetUint64([]byte(keyTerm), 3); err != nil {
					t.Fatal(err)
				}
				if intent {
					if err := writeIntent(a.dir, entryID{5, 3}); err != nil {
						t.Fatal(err)
					}
				}
				if err := a.machine.Swap(r.dir, r.meta); err != nil {
					t.Fatal(err)
				}
				g.stop("A")
				_, err = g.open("A")
				if intent {
					if err != nil {
						t.Fatal(err)
					}
					if exists(intentPath(a.dir)) {
						t.Error("the intent stayed")
					}
					eventually(t, "A follows", func() bool { return s.next(6) })
					return
				}
				if he, ok := errors.AsType[*halt.Error](err); !ok || he.Reason != halt.Damaged || !exists(filepath.Join(a.dir, QuarantineFile)) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// Raft may be restarted whenever: two snapshots without an append between them.
func TestInstallCounter(t *testing.T) {
	var c installCounter
	steps := []struct {
		appends uint64
		stale   bool
		restart bool
	}{{1, false, false}, {1, false, true}, {1, false, false}, {2, false, false}, {3, false, false}, {4, true, true}, {4, false, false}, {4, false, true}}
	for i, s := range steps {
		if s.stale {
			c.setStale()
		}
		if got := c.installed(s.appends) != ""; got != s.restart {
			t.Errorf("step %d: restart %v, want %v", i, got, s.restart)
		}
	}
}
