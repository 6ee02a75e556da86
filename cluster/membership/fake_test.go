// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hawserdb/hawser/cluster/policy"
)

// fakeRaft commits every change at once, unless it is told otherwise.
type fakeRaft struct {
	mu       sync.Mutex
	self     string
	leader   string
	term     uint64
	commit   uint64
	last     uint64
	conf     Configuration
	fail     error
	pending  bool // changes are appended but not committed
	calls    []string
	transfer string // who leads after a transfer to ""
}

func newFakeRaft(voters ...string) *fakeRaft {
	r := &fakeRaft{self: voters[0], leader: voters[0], term: 3, commit: 10, last: 10, conf: Configuration{Index: 1}}
	for _, id := range voters {
		r.conf.Servers = append(r.conf.Servers, Server{ID: id, Voter: true})
	}
	return r
}

func (r *fakeRaft) lock() func() { r.mu.Lock(); return r.mu.Unlock }

func (r *fakeRaft) IsLeader() bool      { defer r.lock()(); return r.leader == r.self }
func (r *fakeRaft) Leader() string      { defer r.lock()(); return r.leader }
func (r *fakeRaft) Term() uint64        { defer r.lock()(); return r.term }
func (r *fakeRaft) CommitIndex() uint64 { defer r.lock()(); return r.commit }
func (r *fakeRaft) LastIndex() uint64   { defer r.lock()(); return r.last }

func (r *fakeRaft) Configuration() Configuration {
	defer r.lock()()
	return Configuration{Index: r.conf.Index, Servers: slices.Clone(r.conf.Servers)}
}

func (r *fakeRaft) change(call string, prev uint64, do func()) error {
	defer r.lock()()
	r.calls = append(r.calls, call)
	if r.fail != nil {
		return r.fail
	}
	if prev != 0 && prev != r.conf.Index {
		return fmt.Errorf("configuration has index %d, not %d", r.conf.Index, prev)
	}
	do()
	r.last++
	r.conf.Index = r.last
	if !r.pending {
		r.commit = r.last
	}
	return nil
}

func (r *fakeRaft) AddStandby(_ context.Context, id string) error {
	return r.change("add "+id, 0, func() { r.conf.Servers = append(r.conf.Servers, Server{ID: id}) })
}

func (r *fakeRaft) Promote(_ context.Context, id string, prev uint64) error {
	return r.change("promote "+id, prev, func() {
		r.conf.Servers[slices.Index(r.conf.Servers, Server{ID: id})].Voter = true
	})
}

func (r *fakeRaft) Remove(_ context.Context, id string, prev uint64) error {
	return r.change("remove "+id, prev, func() {
		r.conf.Servers = slices.DeleteFunc(r.conf.Servers, func(s Server) bool { return s.ID == id })
	})
}

func (r *fakeRaft) Transfer(_ context.Context, id string) error {
	if id == "" {
		id = r.transfer
	}
	return r.change("transfer "+id, 0, func() { r.leader = id })
}

func (r *fakeRaft) did() []string {
	defer r.lock()()
	calls := r.calls
	r.calls = nil
	return calls
}

// fakeMembers is Progress and Gossip: who is reached, how far it is, and what
// gossip says.
type fakeMembers struct {
	mu     sync.Mutex
	lag    map[string]uint64 // those that answer
	last   map[string]time.Time
	gossip map[string]policy.Liveness
}

func newFakeMembers(ids ...string) *fakeMembers {
	m := &fakeMembers{lag: map[string]uint64{}, last: map[string]time.Time{}, gossip: map[string]policy.Liveness{}}
	for _, id := range ids {
		m.alive(id, 0)
	}
	return m
}

func (m *fakeMembers) alive(id string, lag uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag[id], m.gossip[id] = lag, policy.Alive
}

// stop ends contact with id; gossip goes on saying what it is told to.
func (m *fakeMembers) stop(id string, says policy.Liveness) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.lag[id]; ok {
		m.last[id] = time.Now()
	}
	delete(m.lag, id)
	m.gossip[id] = says
}

func (m *fakeMembers) Follower(id string) (Follower, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if lag, ok := m.lag[id]; ok {
		return Follower{Contact: time.Now(), Lag: lag}, true
	}
	at, ok := m.last[id]
	return Follower{Contact: at}, ok
}

func (m *fakeMembers) liveness(id string) policy.Liveness {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gossip[id]
}

// memStore is a Store in memory that counts writes.
type memStore struct {
	mu     sync.Mutex
	state  State
	writes int
	fail   error
}

func newMemStore(id string) *memStore { return &memStore{state: State{Format: format, Node: id}} }

func (m *memStore) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.clone()
}

func (m *memStore) Update(change func(*State) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.state.clone()
	if err := change(&next); err != nil {
		return err
	}
	before, err := encodeState(m.state)
	after, err2 := encodeState(next)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if string(before) == string(after) {
		return nil
	}
	if m.fail != nil {
		return m.fail
	}
	m.state = next
	m.writes++
	return nil
}
