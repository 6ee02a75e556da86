// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/cluster/propose"
	"github.com/hawserdb/hawser/internal/halt"
)

// replica is the node's raft, which founding may have to stop and start again
// while it changes the promise under which raft speaks. It adapts consensus to
// what membership and propose need.
type replica struct {
	open func() (*consensus.Replica, error)
	// failed is told when raft cannot be started again.
	failed halt.Func
	// proposer is paused while the leadership is handed over.
	proposer *propose.Proposer

	// starting is held while raft is started, before mu.
	starting sync.Mutex
	mu       sync.RWMutex
	// raft is nil while it is quiesced; had is then what HasState said last.
	raft *consensus.Replica
	had  bool
	// ended: raft is not started any more.
	ended bool
}

var (
	_ membership.Raft    = (*replica)(nil)
	_ membership.Replica = (*replica)(nil)
	_ propose.Raft       = (*replica)(nil)
)

var errQuiesced = &hawser.Error{Code: hawser.CodeUnavailable, Msg: "raft is stopped while this node changes the cluster that it promised to found"}

// now returns raft, nil while there is none.
func (r *replica) now() *consensus.Replica {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.raft
}

// get returns what f makes of raft, or the zero value while there is none.
func get[T any](r *replica, f func(*consensus.Replica) T) (v T) {
	if raft := r.now(); raft != nil {
		v = f(raft)
	}
	return v
}

func (r *replica) IsLeader() bool      { return get(r, (*consensus.Replica).IsLeader) }
func (r *replica) Leader() string      { return get(r, (*consensus.Replica).Leader) }
func (r *replica) Term() uint64        { return get(r, (*consensus.Replica).Term) }
func (r *replica) CommitIndex() uint64 { return get(r, (*consensus.Replica).CommitIndex) }
func (r *replica) LastIndex() uint64   { return get(r, (*consensus.Replica).LastIndex) }

// hold keeps the log from index on for a member that fetches the state.
func (r *replica) hold(member string, index uint64) {
	if raft := r.now(); raft != nil {
		raft.Hold(member, index)
	}
}

// lastEntry returns what an election compares, zeros while there is no raft.
func (r *replica) lastEntry() (term, index uint64) {
	if raft := r.now(); raft != nil {
		return raft.LastEntry()
	}
	return 0, 0
}

// campaign has raft stand for election.
func (r *replica) campaign(ctx context.Context, term uint64) error {
	raft := r.now()
	if raft == nil {
		return errQuiesced
	}
	return raft.Campaign(ctx, term)
}

// reach returns the ends of the log, 0 while there is none.
func (r *replica) reach() (first, last uint64) {
	if raft := r.now(); raft != nil {
		return raft.Reach()
	}
	return 0, 0
}

// Configuration returns the latest configuration.
func (r *replica) Configuration() membership.Configuration {
	c := get(r, (*consensus.Replica).Configuration)
	out := membership.Configuration{Index: c.Index, Servers: make([]membership.Server, len(c.Servers))}
	for i, s := range c.Servers {
		out.Servers[i] = membership.Server(s)
	}
	return out
}

// voters returns the ids of the voters of the latest configuration.
func (r *replica) voters() []string {
	var ids []string
	for _, s := range get(r, (*consensus.Replica).Configuration).Servers {
		if s.Voter {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// Propose hands one entry to raft.
func (r *replica) Propose(data []byte) error {
	return r.change(func(raft *consensus.Replica) error { return raft.Propose(data) })
}

func (r *replica) change(f func(*consensus.Replica) error) error {
	raft := r.now()
	if raft == nil {
		return errQuiesced
	}
	return f(raft)
}

// AddStandby implements membership.Raft.
func (r *replica) AddStandby(ctx context.Context, id string) error {
	return r.change(func(raft *consensus.Replica) error { return raft.AddStandby(ctx, id) })
}

// Promote implements membership.Raft.
func (r *replica) Promote(ctx context.Context, id string, prevIndex uint64) error {
	return r.change(func(raft *consensus.Replica) error { return raft.Promote(ctx, id, prevIndex) })
}

// Remove implements membership.Raft.
func (r *replica) Remove(ctx context.Context, id string, prevIndex uint64) error {
	return r.change(func(raft *consensus.Replica) error { return raft.Remove(ctx, id, prevIndex) })
}

// Transfer implements membership.Raft. New commands are sent elsewhere
// meanwhile, and those under way end first, so that the hand-over leaves no
// outcome unknown.
func (r *replica) Transfer(ctx context.Context, id string) error {
	defer r.proposer.Resume()
	if err := r.proposer.Pause(ctx); err != nil {
		return err
	}
	return r.change(func(raft *consensus.Replica) error { return raft.Transfer(ctx, id) })
}

// HasState implements membership.Replica.
func (r *replica) HasState() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.raft == nil {
		return r.had
	}
	return r.raft.HasState()
}

// Bootstrap implements membership.Replica.
func (r *replica) Bootstrap(voters []string) error {
	return r.change(func(raft *consensus.Replica) error { return raft.Bootstrap(voters) })
}

// start opens raft, unless the node has ended it.
func (r *replica) start() error {
	r.starting.Lock()
	defer r.starting.Unlock()
	r.mu.RLock()
	ended := r.ended
	r.mu.RUnlock()
	if ended {
		return nil
	}
	raft, err := r.open()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raft = raft
	return nil
}

// end stops raft for good, also if somebody who quiesced it is about to start
// it again.
func (r *replica) end(ctx context.Context) error {
	r.starting.Lock()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.starting.Unlock()
	return r.close(ctx)
}

// close stops raft and keeps what HasState is to say from now on.
func (r *replica) close(ctx context.Context) error {
	r.mu.Lock()
	raft := r.raft
	r.raft = nil
	r.mu.Unlock()
	if raft == nil {
		return nil
	}
	err := raft.Close(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.had = raft.HasState()
	return err
}

// Quiesce implements membership.Replica.
func (r *replica) Quiesce(ctx context.Context) (resume func(), err error) {
	if err := r.close(ctx); err != nil {
		return nil, err
	}
	return func() {
		if err := r.start(); err != nil {
			r.failed(err)
		}
	}, nil
}
