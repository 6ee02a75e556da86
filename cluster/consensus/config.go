// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// The kinds of log.
const (
	// LogWAL is hashicorp/raft-wal, the default.
	LogWAL = "wal"
	// LogBoltDB is hashicorp/raft-boltdb: slower, older.
	LogBoltDB = "boltdb"
)

// Machine is what consensus needs of the state machine; *fsm.Machine is one.
type Machine interface {
	Apply(entries []fsm.Entry) ([]fsm.Applied, error)
	Applied() (index, term uint64)
	Meta() (fsm.Meta, error)
	Durable() (fsm.Meta, error)
	Flush() error
	Checkpoint(dir string) (fsm.Meta, error)
	Swap(dir string, meta fsm.Meta) error
}

// Install is what to do with a checkpoint that the leader wants to send.
type Install int

// What Config.OnInstall may answer.
const (
	// InstallTake takes the checkpoint.
	InstallTake Install = iota
	// InstallRefuse refuses it; the leader asks again and again.
	InstallRefuse
	// InstallSkip pretends that it was taken: the leader then asks where this
	// replica's log ends and goes on from there. For a replica that has got a
	// checkpoint in another way, which the leader cannot notice otherwise.
	InstallSkip
)

// Leadership is a change of who leads, seen from one replica.
type Leadership struct {
	// Term is the term that was won or lost.
	Term uint64
	// Leader is true if this replica won it.
	Leader bool
}

// Config says how to run a replica. ID, Dir, Machine, Streams, Logger and Halt
// are required.
type Config struct {
	// ID is the replica's raft.ServerID; it is its raft.ServerAddress too.
	ID string
	// Dir is the node's data directory. The replica owns the files listed in
	// the package comment.
	Dir string
	// LogStore is LogWAL (default) or LogBoltDB. A directory keeps its kind.
	LogStore string
	// Machine gets what is committed. The replica does not close it.
	Machine Machine
	// Streams carries raft's connections; its addresses are ServerIDs. The
	// replica closes it.
	Streams raft.StreamLayer
	Logger  *slog.Logger
	// Halt is told why the replica stopped taking part.
	Halt halt.Func
	// OnApplied gets the results of each applied batch, in order, on raft's
	// goroutine: it must not block. May be nil.
	OnApplied func([]fsm.Applied)
	// OnSwapped is called, on the same goroutine, when the machine's state was
	// replaced. May be nil.
	OnSwapped func()
	// OnLeadership gets every change of leadership, in order, on one
	// goroutine: it must be quick. May be nil.
	OnLeadership func(Leadership)
	// OnConfiguration gets the latest configuration after it changed, on the
	// same goroutine. May be nil.
	OnConfiguration func(Configuration)
	// Sound returns why the machine's state is not to be sent to another replica,
	// nil if it may be. May be nil for always.
	Sound func() error
	// OnInstall is asked what to do with a checkpoint at index that the leader
	// wants to send, because its log does not reach back far enough. It may be
	// called from several goroutines and must be quick. nil takes all.
	OnInstall func(index uint64) Install
	// Timeouts; zero values mean the defaults.
	Timeouts Timeouts
	// Retention; zero values mean the defaults.
	Retention Retention

	// For tests: the file system under the wal and the size of its segments.
	walFS       types.VFS
	segmentSize int
	// Called after each durable step of a swap; an error ends it there.
	afterStep func(step string) error
}

// Timeouts are the replica's. The defaults are calm: a stall of one fsync of
// a second causes no election; whoever wants faster failover detects the
// death of a leader and hurries the election.
type Timeouts struct {
	// Heartbeat is how long a follower waits for a leader; default 1.5 s. An
	// election takes as long at most.
	Heartbeat time.Duration
	// Lease is how long a leader stays one without a majority; default 1.2 s.
	Lease time.Duration
	// Commit is how long a follower waits at most, times two, to hear of a
	// commit when nothing else is written; default 10 ms.
	Commit time.Duration
	// RPC bounds a dial and one call between replicas; default 5 s.
	RPC time.Duration
	// Hang is how long a store may take before the node stops; default 10 s.
	Hang time.Duration
	// Stall is how long a snapshot transfer may stand still; default 30 s.
	Stall time.Duration
	// Close bounds the wait for raft to stop; default 5 s.
	Close time.Duration
}

// Retention says how much log is kept and how often raft may truncate it.
type Retention struct {
	// SnapshotBytes and SnapshotEvery: the machine is made durable, so that
	// the log may be truncated, after so many bytes of log (default 64 MiB)
	// or so long (default 30 s), whichever comes first.
	SnapshotBytes int64
	SnapshotEvery time.Duration
	// KeepBytes of the newest log always stay; default 1 GiB.
	KeepBytes int64
	// KeepBehindBytes is the most log kept for a member that is behind;
	// default 8 GiB.
	KeepBehindBytes int64
	// CacheBytes of the newest log are held in memory; default 16 MiB.
	CacheBytes int64
	// CheckEvery is how often the above is looked at; default 1 s.
	CheckEvery time.Duration
}

func orDefault[T int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	if c.LogStore == "" {
		c.LogStore = LogWAL
	}
	t, r := &c.Timeouts, &c.Retention
	orDefault(&t.Heartbeat, 1500*time.Millisecond)
	orDefault(&t.Lease, min(1200*time.Millisecond, t.Heartbeat))
	orDefault(&t.Commit, 10*time.Millisecond)
	orDefault(&t.RPC, 5*time.Second)
	orDefault(&t.Hang, 10*time.Second)
	orDefault(&t.Stall, 30*time.Second)
	orDefault(&t.Close, 5*time.Second)
	orDefault(&r.SnapshotBytes, 64<<20)
	orDefault(&r.SnapshotEvery, 30*time.Second)
	orDefault(&r.KeepBytes, 1<<30)
	orDefault(&r.KeepBehindBytes, 8<<30)
	orDefault(&r.CacheBytes, 16<<20)
	orDefault(&r.CheckEvery, time.Second)
	return c
}

func (c Config) validate() error {
	var errs []error
	need := func(ok bool, field string) {
		if !ok {
			errs = append(errs, fmt.Errorf("consensus config: %s is required", field))
		}
	}
	need(c.ID != "", "ID")
	need(c.Dir != "", "Dir")
	need(c.Machine != nil, "Machine")
	need(c.Streams != nil, "Streams")
	need(c.Logger != nil, "Logger")
	need(c.Halt != nil, "Halt")
	if c.LogStore != LogWAL && c.LogStore != LogBoltDB {
		errs = append(errs, fmt.Errorf("consensus config: LogStore is %q, want %q or %q", c.LogStore, LogWAL, LogBoltDB))
	}
	if c.Timeouts.Lease > c.Timeouts.Heartbeat {
		errs = append(errs, fmt.Errorf("consensus config: Timeouts.Lease %v is over Timeouts.Heartbeat %v", c.Timeouts.Lease, c.Timeouts.Heartbeat))
	}
	return errors.Join(errs...)
}
