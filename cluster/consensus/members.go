// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	hawser "github.com/hawserdb/hawser"
)

// changeWait bounds a change of the configuration for a caller without a
// deadline.
const changeWait = 10 * time.Second

// Bootstrap makes this replica's log begin with a configuration of voters.
// Exactly one replica does it, once, with all the first voters, itself
// included. It returns an error matching hawser.ErrRefused if this replica
// has state already.
func (r *Replica) Bootstrap(voters []string) error {
	var conf raft.Configuration
	for _, id := range voters {
		conf.Servers = append(conf.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	if !slices.Contains(voters, r.cfg.ID) {
		return r.refuse("bootstrap", r.cfg.ID, "the founding members do not include this node")
	}
	ctx, cancel := context.WithTimeout(context.Background(), changeWait)
	defer cancel()
	err := awaitClosing(ctx, r.closing, func() raft.Future { return r.raft.Load().BootstrapCluster(conf) })
	if errors.Is(err, raft.ErrCantBootstrap) {
		return r.refuse("bootstrap", r.cfg.ID, "this node has state already")
	}
	return r.changed("bootstrap", r.cfg.ID, err)
}

// AddStandby adds a member without a vote. It returns nil if id is a member
// already. Errors match hawser.ErrNotLeader, ErrUnavailable (nothing was
// changed) or ErrOutcomeUnknown.
func (r *Replica) AddStandby(ctx context.Context, id string) error {
	if _, ok := r.member(id); ok {
		return nil
	}
	return r.change(ctx, "add standby", id, func(i *raft.Raft, wait time.Duration) raft.Future {
		return i.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, wait)
	})
}

// Promote gives a standby a vote. With a prevIndex that is not 0 it is refused
// unless the latest configuration's index is that. Errors are those of
// AddStandby, hawser.ErrNotFound if id is not a member and ErrRefused.
func (r *Replica) Promote(ctx context.Context, id string, prevIndex uint64) error {
	s, ok := r.member(id)
	switch {
	case !r.leads():
		return &hawser.Error{Code: hawser.CodeNotLeader, Op: "promote", Key: id}
	case !ok:
		return &hawser.Error{Code: hawser.CodeNotFound, Op: "promote", Key: id, Msg: "not a member"}
	}
	if s.Voter {
		return nil
	}
	return r.change(ctx, "promote", id, func(i *raft.Raft, wait time.Duration) raft.Future {
		return i.AddVoter(raft.ServerID(id), raft.ServerAddress(id), prevIndex, wait)
	})
}

// Remove removes a member. prevIndex and errors are as for Promote. A leader
// does not remove itself: transfer leadership first.
func (r *Replica) Remove(ctx context.Context, id string, prevIndex uint64) error {
	s, ok := r.member(id)
	switch {
	case !r.leads(): // only the leader knows the newest members
		return &hawser.Error{Code: hawser.CodeNotLeader, Op: "remove", Key: id}
	case !ok:
		return &hawser.Error{Code: hawser.CodeNotFound, Op: "remove", Key: id, Msg: "not a member"}
	case id == r.cfg.ID:
		return r.refuse("remove", id, "it leads: transfer leadership, then remove it through the new leader")
	case s.Voter && len(r.Configuration().Voters()) == 1:
		return r.refuse("remove", id, "it is the last voter")
	}
	return r.change(ctx, "remove", id, func(i *raft.Raft, wait time.Duration) raft.Future {
		return i.RemoveServer(raft.ServerID(id), prevIndex, wait)
	})
}

func (r *Replica) member(id string) (Server, bool) {
	servers := r.Configuration().Servers
	i := slices.IndexFunc(servers, func(s Server) bool { return s.ID == id })
	if i < 0 {
		return Server{}, false
	}
	return servers[i], true
}

// change runs one change of the configuration and waits for it, bounded.
func (r *Replica) change(ctx context.Context, op, id string, do func(*raft.Raft, time.Duration) raft.Future) error {
	if !r.leads() {
		return &hawser.Error{Code: hawser.CodeNotLeader, Op: op, Key: id}
	}
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	deadline, _ := ctx.Deadline()
	wait := max(time.Until(deadline)/2, time.Millisecond) // until raft takes it up
	instance := r.raft.Load()
	return r.changed(op, id, awaitClosing(ctx, r.closing, func() raft.Future { return do(instance, wait) }))
}

// changed puts raft's answer in our words.
func (r *Replica) changed(op, id string, err error) error {
	code := hawser.CodeRefused
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader):
		code = hawser.CodeNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrNotVoter):
		code = hawser.CodeUnavailable
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown), errors.Is(err, errClosing),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		code = hawser.CodeOutcomeUnknown
	}
	return &hawser.Error{Code: code, Op: op, Key: id, Err: err}
}

func (r *Replica) refuse(op, id, why string) error {
	return &hawser.Error{Code: hawser.CodeRefused, Op: op, Key: id, Msg: why}
}

// Transfer hands leadership to the voter id, or to the one that follows best
// if id is empty, and returns when this replica does not lead any more: not
// necessarily in favour of id. While it runs, Propose refuses. Errors match
// hawser.ErrNotLeader, ErrRefused or ErrUnavailable (it still leads).
func (r *Replica) Transfer(ctx context.Context, id string) error {
	const op = "transfer leadership"
	if !r.leads() {
		return &hawser.Error{Code: hawser.CodeNotLeader, Op: op, Key: id}
	}
	if s, ok := r.member(id); id != "" && (!ok || !s.Voter || id == r.cfg.ID) {
		return r.refuse(op, id, "not another voter")
	}
	if len(r.Configuration().Voters()) < 2 {
		return r.refuse(op, id, "there is no other voter")
	}
	r.transferring.Add(1)
	defer r.transferring.Add(-1)
	limit := 3 * r.cfg.Timeouts.Heartbeat
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTransferStuck)
	defer cancel()
	instance := r.raft.Load()
	err := awaitClosing(ctx, r.closing, func() raft.Future {
		if id == "" {
			return instance.LeadershipTransfer()
		}
		return instance.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(id))
	})
	if errors.Is(err, errTransferStuck) {
		// raft#696: a transfer can hang for ever, and refuse all writes.
		r.requestRestart("a leadership transfer hangs")
	}
	if err != nil && r.leads() {
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Key: id, Err: err}
	}
	return nil
}

var errTransferStuck = fmt.Errorf("raft did not answer: %w", context.DeadlineExceeded)
