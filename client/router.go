// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// maxHinted bounds the addresses that nodes told beside the configured ones.
const maxHinted = 8

var errClosed error = &hawser.Error{Code: hawser.CodeCanceled, Op: "client", Msg: "is closed"}

// router chooses the endpoint of each attempt. It prefers the leader, as far
// as it is known and connected, and puts endpoints behind that failed.
type router struct {
	dial func(address string) (*grpc.ClientConn, error)

	mu        sync.Mutex // guards all below and the endpoints' fields
	endpoints []*endpoint
	leader    *endpoint // nil while unknown
	// generation and term date the knowledge of the leader: what an older
	// answer says does not count.
	generation uint64
	term       uint64
	next       int // where the next round robin begins
	closed     bool
}

// tour is the way of one call through the endpoints.
type tour struct {
	// leader says whether the leader is preferred.
	leader bool
	// hint is where the last answer sent the call; nil for nowhere.
	hint *endpoint
	// tried are the endpoints of this round; rounds counts those before it.
	tried  []*endpoint
	rounds int
}

func newRouter(addresses []string, dial func(string) (*grpc.ClientConn, error)) (*router, error) {
	r := &router{dial: dial}
	for _, address := range addresses {
		if slices.ContainsFunc(r.endpoints, func(e *endpoint) bool { return e.address == address }) {
			continue
		}
		conn, err := dial(address)
		if err != nil {
			r.close()
			return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "endpoint", Key: address, Err: err}
		}
		r.endpoints = append(r.endpoints, &endpoint{address: address, conn: conn, configured: true})
	}
	return r, nil
}

// pick returns the endpoint of the next attempt and whether there is no other
// to go to. The caller gives it back with one of succeeded, answered, failed.
func (r *router) pick(t *tour) (e *endpoint, alone bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false, errClosed
	}
	candidates := r.candidatesLocked(t)
	untried := slices.DeleteFunc(slices.Clone(candidates), func(e *endpoint) bool { return slices.Contains(t.tried, e) })
	if len(untried) == 0 {
		untried, t.tried = candidates, nil
		t.rounds++
	}
	e = r.bestLocked(t, untried)
	if t.leader && r.leader != nil && r.leader != e {
		r.connectLocked(r.leader)
	}
	t.hint = nil
	t.tried = append(t.tried, e)
	e.calls++
	return e, len(candidates) == 1, nil
}

// connectLocked begins to connect, so that the connection is there the next
// time. gRPC does it in the background.
func (r *router) connectLocked(e *endpoint) {
	if e.conn.GetState() == connectivity.Idle {
		e.conn.Connect()
	}
}

// candidatesLocked returns the endpoints in round-robin order: the configured
// ones, the leader and the hint.
func (r *router) candidatesLocked(t *tour) []*endpoint {
	var candidates []*endpoint
	r.next++
	for i := range r.endpoints {
		e := r.endpoints[(r.next+i-1)%len(r.endpoints)]
		if e.configured || e == r.leader || e == t.hint {
			candidates = append(candidates, e)
		}
	}
	return candidates
}

func (r *router) bestLocked(t *tour, candidates []*endpoint) *endpoint {
	anyReady := slices.ContainsFunc(candidates, (*endpoint).ready)
	now := time.Now()
	rank := func(e *endpoint) int {
		switch {
		case e == t.hint:
			return -1
		case now.Before(e.behind):
			return 5
		case !e.configured && !e.ready():
			return 4
		case t.leader && e == r.leader && (e.ready() || !anyReady):
			return 0
		case e.conn.GetState() == connectivity.TransientFailure:
			return 3
		case t.leader && !e.ready():
			return 2
		default:
			return 1
		}
	}
	return slices.MinFunc(candidates, func(a, b *endpoint) int { return rank(a) - rank(b) })
}

// more reports whether an endpoint is left that the tour has not tried in this
// round.
func (r *router) more(t *tour) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.endpoints, func(e *endpoint) bool {
		return (e.configured || e == r.leader || e == t.hint) && !slices.Contains(t.tried, e)
	})
}

// succeeded takes note of an answer and of what its header says.
func (r *router) succeeded(e *endpoint, h *hawserv1.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.calls--
	e.failures, e.behind = 0, time.Time{}
	if h.GetNode() == "" {
		return
	}
	e.node = h.GetNode()
	older := h.GetGeneration() < r.generation || h.GetGeneration() == r.generation && h.GetTerm() < r.term
	if h.GetLeader() == "" || older {
		return
	}
	leader := e
	if h.GetLeader() != h.GetNode() {
		leader = r.lookupLocked(wire.Leader{ID: h.GetLeader(), Address: h.GetLeaderAddress()})
	}
	if leader == nil {
		return
	}
	if leader != r.leader || h.GetTerm() != r.term {
		// What it could not do before it led does not count against it.
		leader.failures, leader.behind = 0, time.Time{}
	}
	r.leader, r.generation, r.term = leader, h.GetGeneration(), h.GetTerm()
	r.connectLocked(leader)
}

// answered takes note of a refusal, and sends the tour where it points.
func (r *router) answered(e *endpoint, t *tour, hint wire.Leader, putBehind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.calls--
	if putBehind { // it is there, and may well serve in a moment
		e.behind = time.Now().Add(firstPenalty)
	}
	if hint == (wire.Leader{}) {
		return
	}
	leader := r.lookupLocked(hint)
	if leader == nil || leader == e {
		return
	}
	r.leader = leader
	if !slices.Contains(t.tried, leader) {
		t.hint = leader
	}
}

// again sends the tour back to e, which gave the answer.
func (r *router) again(e *endpoint, t *tour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.hint = e
	t.tried = slices.DeleteFunc(t.tried, func(tried *endpoint) bool { return tried == e })
}

// failed takes note of an attempt that got no answer.
func (r *router) failed(e *endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.calls--
	e.fail(time.Now())
}

// lookupLocked returns the endpoint of a node that another node named, making
// it if it is new. It returns nil for an address that cannot be used.
func (r *router) lookupLocked(leader wire.Leader) *endpoint {
	known := func(match func(*endpoint) bool) *endpoint {
		if i := slices.IndexFunc(r.endpoints, match); i >= 0 {
			return r.endpoints[i]
		}
		return nil
	}
	// A configured endpoint is reachable for sure; an advertised address need
	// not be reachable from here.
	if e := known(func(e *endpoint) bool { return e.configured && leader.ID != "" && e.node == leader.ID }); e != nil {
		return e
	}
	if e := known(func(e *endpoint) bool { return e.address == leader.Address }); e != nil {
		return e
	}
	if r.closed || checkEndpoint(leader.Address) != nil || !r.makeRoomLocked() {
		return nil
	}
	conn, err := r.dial(leader.Address)
	if err != nil {
		return nil
	}
	e := &endpoint{address: leader.Address, conn: conn, node: leader.ID}
	r.endpoints = append(r.endpoints, e)
	return e
}

// makeRoomLocked forgets a hinted endpoint that nobody uses if there are too
// many, and reports whether one more has room.
func (r *router) makeRoomLocked() bool {
	hinted := 0
	unused := -1
	for i, e := range r.endpoints {
		if e.configured {
			continue
		}
		hinted++
		if e != r.leader && e.calls == 0 {
			unused = i
		}
	}
	if hinted < maxHinted {
		return true
	}
	if unused < 0 {
		return false
	}
	_ = r.endpoints[unused].conn.Close() // only fails when closed already
	r.endpoints = slices.Delete(r.endpoints, unused, unused+1)
	return true
}

func (r *router) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// close closes the connections; it is idempotent.
func (r *router) close() {
	r.mu.Lock()
	endpoints := r.endpoints
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return
	}
	for _, e := range endpoints {
		_ = e.conn.Close() // only fails when closed already
	}
}

// succeededStream takes what a message of a stream says of the leader.
func (r *router) succeededStream(h *hawserv1.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.GetLeader() == "" || h.GetGeneration() < r.generation || h.GetGeneration() == r.generation && h.GetTerm() <= r.term {
		return
	}
	if leader := r.lookupLocked(wire.Leader{ID: h.GetLeader(), Address: h.GetLeaderAddress()}); leader != nil {
		r.leader, r.generation, r.term = leader, h.GetGeneration(), h.GetTerm()
	}
}
