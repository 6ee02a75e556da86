// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	hawser "github.com/hawserdb/hawser"
)

// Standing is how a replica stands to the leadership, at one moment.
type Standing struct {
	Term uint64
	// Leader is whom the replica follows or is, "" for nobody.
	Leader string
	// Leads and Candidate are what raft does; a follower is neither.
	Leads, Candidate bool
	// Installing: a snapshot is being received.
	Installing bool
	// Contact is when it heard from a leader last; zero for never.
	Contact time.Time
}

// Standing returns how the replica stands to the leadership. Term, leader and
// role belong together; the rest is read after them.
func (r *Replica) Standing() Standing {
	instance := r.raft.Load()
	var s Standing
	for {
		s.Term, s.Leader = instance.CurrentTerm(), r.Leader()
		s.Leads, s.Candidate = r.leads(), instance.State() == raft.Candidate
		if instance.CurrentTerm() == s.Term {
			break
		}
	}
	s.Installing = r.trans.receiving.Load() > 0
	s.Contact = instance.LastContact()
	return s
}

// LastEntry returns the last entry in the log or the snapshot as an election
// compares it, zeros for an empty log and when it was removed meanwhile.
func (r *Replica) LastEntry() (term, index uint64) {
	applied, appliedTerm := r.cfg.Machine.Applied()
	_, last := r.logs.bounds()
	if last <= applied {
		return appliedTerm, applied
	}
	var entry raft.Log
	if r.logs.get(last, &entry) != nil {
		return 0, 0
	}
	return entry.Term, last
}

// campaignWait bounds how long raft has to take up a Campaign: what waits for
// longer than that would come after another election.
const campaignWait = 100 * time.Millisecond

// Campaign makes this replica stand for election at once, without asking first
// whether others would vote for it, if it follows in term. nil means that raft
// took it up, not that it won.
//
// It is for a leader that is known to be gone: against one that lives it
// succeeds as well. Raft's rules of voting hold, so that it costs an election at
// most. Errors match hawser.ErrRefused if the replica is not a voter of the
// latest configuration, does not follow in that term or is receiving a
// snapshot, and hawser.ErrUnavailable if raft is busy or stopped.
func (r *Replica) Campaign(ctx context.Context, term uint64) error {
	const op = "stand for election"
	self, member := r.member(r.cfg.ID)
	switch standing := r.Standing(); {
	case r.latch.Err() != nil:
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Key: r.cfg.ID, Msg: "this node stopped"}
	case !member || !self.Voter:
		return r.refuse(op, r.cfg.ID, "it is not a voter")
	case standing.Installing:
		return r.refuse(op, r.cfg.ID, "it is receiving a snapshot")
	case standing.Term != term || standing.Leads || standing.Candidate:
		return r.refuse(op, r.cfg.ID, fmt.Sprintf("it does not follow in term %d any more", term))
	}
	// Raft ignores a request without a version, and takes this one from anybody.
	request := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(r.cfg.ID), Addr: []byte(r.cfg.ID),
	}}
	if err := r.handOver(ctx, request); err != nil {
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Key: r.cfg.ID, Err: err}
	}
	return nil
}

func (r *Replica) handOver(ctx context.Context, request *raft.TimeoutNowRequest) error {
	ctx, cancel := context.WithTimeout(ctx, campaignWait)
	defer cancel()
	return r.trans.local(ctx, request)
}
