// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	hawser "github.com/hawserdb/hawser"
)

// proposeWait bounds the wait until raft takes up an entry.
const proposeWait = time.Second

// Propose hands data to raft as one entry. Data must not be changed any more.
//
// nil means handed over, nothing more: whether and when the entry is applied,
// OnApplied tells, and a change of leadership means that it may never be. An
// error matches hawser.ErrNotLeader, ErrUnavailable or ErrOverloaded; the
// entry was then not and will not be proposed. It takes about a second at
// most.
func (r *Replica) Propose(data []byte) error {
	const op = "propose"
	switch {
	case r.latch.Err() != nil:
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Msg: "this node stopped"}
	case !r.leads():
		return &hawser.Error{Code: hawser.CodeNotLeader, Op: op}
	case r.transferring.Load() > 0:
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Msg: "leadership is being transferred"}
	}
	f := r.raft.Load().Apply(data, proposeWait)
	// A future that was refused at once is a value, one in raft's hands a
	// pointer. The latter may never be answered, so it is not asked.
	if reflect.TypeOf(f).Kind() == reflect.Pointer {
		return nil
	}
	err, code := f.Error(), hawser.CodeUnavailable
	if errors.Is(err, raft.ErrEnqueueTimeout) {
		code = hawser.CodeOverloaded
	}
	return &hawser.Error{Code: code, Op: op, Err: err}
}

// HasState reports whether this replica ever took part in a cluster: it has a
// term, a vote, a log entry or a machine that applied something.
func (r *Replica) HasState() bool {
	state := r.stable.current()
	_, last := r.logs.bounds()
	return state != (hardState{}) || last != 0 || r.appliedIndex() != 0
}

// IsLeader reports whether this replica leads, as far as it knows.
func (r *Replica) IsLeader() bool { return r.leads() }

// Leader returns the id of the leader that this replica follows or is, "" if
// it knows none.
func (r *Replica) Leader() string {
	_, id := r.raft.Load().LeaderWithID()
	return string(id)
}

// Term returns raft's term.
func (r *Replica) Term() uint64 {
	instance := r.raft.Load()
	if instance == nil {
		return 0
	}
	return instance.CurrentTerm()
}

// CommitIndex returns the index up to which this replica knows entries to be
// committed. It is 0 after a start until a leader tells.
func (r *Replica) CommitIndex() uint64 {
	instance := r.raft.Load()
	if instance == nil {
		return 0
	}
	return instance.CommitIndex()
}

// LastIndex returns the index of the last entry in the log or the snapshot.
func (r *Replica) LastIndex() uint64 { return r.raft.Load().LastIndex() }

// LastContact returns when this replica heard from its leader last; zero if it
// never did. It means nothing on the leader.
func (r *Replica) LastContact() time.Time { return r.raft.Load().LastContact() }

// Configuration returns the latest configuration in the log, which need not be
// committed yet.
func (r *Replica) Configuration() Configuration { return r.logs.configuration().export() }

func (r *Replica) appliedIndex() uint64 {
	index, _ := r.cfg.Machine.Applied()
	return index
}

// counters count since Open.
type counters struct{ installs, restarts, snapshots atomic.Uint64 }

// AppendTime is how long the log takes to write an entry, of late: 0 when it has
// written none for some seconds.
func (r *Replica) AppendTime() time.Duration { return r.logs.pace.now() }

// Stats describe a replica at one moment; its values are read one by one.
type Stats struct {
	// State is follower, candidate, leader or shutdown.
	State string
	// Leader is the leader's id, "" for none.
	Leader string
	Term   uint64
	// FirstIndex and LastIndex are the ends of the log, 0 when it is empty.
	FirstIndex, LastIndex uint64
	CommitIndex           uint64
	AppliedIndex          uint64
	// LastContact is as of Replica.LastContact.
	LastContact time.Time
	// LogBytes is about the size of the log, and CachedBytes what of it is
	// held in memory.
	LogBytes, CachedBytes int64
	// AppendedBytes counts what was ever appended, from the first entry that
	// the log held when it was opened.
	AppendedBytes int64
	// Since Open: batches appended and applied, snapshots taken, snapshots
	// received, restarts of raft.
	Appends, Applies, Snapshots, Installs, Restarts uint64
	// Peers is what a leader knows of the others, by id.
	Peers map[string]PeerProgress
	// Failure is why the replica stopped taking part, nil if it takes part.
	Failure error
}

// Stats returns the replica's statistics.
func (r *Replica) Stats() Stats {
	first, last := r.logs.bounds()
	instance := r.raft.Load()
	s := Stats{
		State: stateName(instance.State()), Leader: r.Leader(), Term: r.Term(),
		FirstIndex: first, LastIndex: last, CommitIndex: r.CommitIndex(), AppliedIndex: r.appliedIndex(),
		LastContact: instance.LastContact(),
		CachedBytes: r.logs.tail.size(),
		Appends:     r.logs.appends.Load(), Applies: r.fsm.batches.Load(), Snapshots: r.counters.snapshots.Load(),
		Installs: r.counters.installs.Load(), Restarts: r.counters.restarts.Load(),
		Peers: r.trans.peers.all(), Failure: r.latch.Err(),
	}
	if last != 0 {
		s.AppendedBytes = r.logs.sizes.total(last)
		s.LogBytes = s.AppendedBytes - r.logs.sizes.total(first-1)
	}
	return s
}

func stateName(s raft.RaftState) string {
	switch s {
	case raft.Follower:
		return "follower"
	case raft.Candidate:
		return "candidate"
	case raft.Leader:
		return "leader"
	case raft.Shutdown:
	}
	return "shutdown"
}
