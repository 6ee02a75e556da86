// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// grantEnv is a founder at b:1 with the start line a:1, b:1, and the node that
// answers at a:1.
type grantEnv struct {
	store  *memStore
	f      *Founder
	raft   bool // the founder has raft state
	quiets int
	late   bool // raft state appears while raft is being stopped
	back   *peerpb.PromiseResponse
}

func (e *grantEnv) HasState() bool { return e.raft }

func (e *grantEnv) Quiesce(context.Context) (func(), error) {
	e.quiets++
	e.raft = e.raft || e.late
	return func() { e.quiets += 10 }, nil
}

func (e *grantEnv) Bootstrap([]string) error { return errors.New("not me") }

func (e *grantEnv) Promise(context.Context, string, *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	if e.back == nil {
		return nil, errors.New("connection refused")
	}
	return e.back, nil
}

func (e *grantEnv) Join(context.Context, string, *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	return nil, errors.New("not here")
}

func testID(order byte) ClusterID { return ClusterID{0: order, 15: order} }

func testRequest(id ClusterID, coordinator string) *peerpb.PromiseRequest {
	a := &peerpb.Node{Id: coordinator, PeerAddress: "a:1", Voter: true}
	return &peerpb.PromiseRequest{
		ClusterId: id[:], Generation: 7, StartLine: []string{"a:1", "b:1"}, Coordinator: a,
		Members: []*peerpb.Node{a, {Id: n2, PeerAddress: "b:1", Voter: true}},
	}
}

// Who gets a promise, who does not, and why.
func TestGrant(t *testing.T) {
	const other = "n1-0000000f"
	for _, tc := range []struct {
		name   string
		before *peerpb.PromiseRequest // was promised before
		set    func(*grantEnv, *peerpb.PromiseRequest)
		order  byte // of the cluster id asked for; 0 is 5
		from   string
		caller string
		says   string // "" is granted
	}{
		{name: "first promise"},
		{name: "again", before: testRequest(testID(5), n1), set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.back = nil }},
		{name: "newer from a coordinator with another id", before: testRequest(testID(4), other)},
		{name: "newer from the same coordinator", before: testRequest(testID(4), n1)},
		{name: "older", before: testRequest(testID(6), other), says: "promised itself to the newer cluster"},
		{name: "refused before", set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.store.state.Refused = []ClusterID{testID(5)} }, says: "refuses 05000000 since"},
		{name: "the old coordinator still answers", before: testRequest(testID(4), other), set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.back.Node = other }, says: "at a:1 answers n1-0000000f"},
		{name: "nobody answers", set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.back = nil }, says: "cannot reach the coordinator at a:1: connection refused"},
		{name: "delayed request", set: func(e *grantEnv, _ *peerpb.PromiseRequest) { id := testID(9); e.back.ClusterId = id[:] }, says: "itself has not promised"},
		{name: "founded without us", set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.back.HasState = true }, says: "without this promise"},
		{name: "raft state", set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.raft = true }, says: "has raft state"},
		{name: "raft state at the last moment", before: testRequest(testID(4), other), set: func(e *grantEnv, _ *peerpb.PromiseRequest) { e.late = true }, says: "has raft state under its promise"},
		{name: "taken in", set: func(e *grantEnv, _ *peerpb.PromiseRequest) {
			e.store.state.ClusterID, e.store.state.Generation = testID(1), 1
		}, says: "has raft state of a cluster"},
		{name: "in another's name", caller: other, says: "asked by n1-0000000f in the name of"},
		{name: "other start line", set: func(e *grantEnv, r *peerpb.PromiseRequest) { e.f.cfg.StartLine = StartLine{"b:1", "c:1"} }, says: "was started with other addresses: b:1,c:1"},
		{name: "no start line", set: func(e *grantEnv, r *peerpb.PromiseRequest) { e.f.cfg.StartLine = nil }, says: "without --bootstrap-expect"},
		{name: "not a member", set: func(e *grantEnv, r *peerpb.PromiseRequest) { r.Members[1].Id = n3 }, says: "is not among the members as n2-00000002 at b:1"},
		{name: "coordinator at another address", set: func(e *grantEnv, r *peerpb.PromiseRequest) { r.Coordinator = r.Members[1] }, says: "malformed"},
		{name: "short cluster id", set: func(e *grantEnv, r *peerpb.PromiseRequest) { r.ClusterId = r.ClusterId[:8] }, says: "malformed"},
		{name: "no generation", set: func(e *grantEnv, r *peerpb.PromiseRequest) { r.Generation = 0 }, says: "malformed"},
		{name: "one member too few", set: func(e *grantEnv, r *peerpb.PromiseRequest) { r.Members = r.Members[:1] }, says: "malformed"},
		{name: "too many", set: func(e *grantEnv, r *peerpb.PromiseRequest) { r.Members = make([]*peerpb.Node, 1000) }, says: "more than 15"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newGrantEnv(t)
			if tc.before != nil {
				p, err := promiseFrom(tc.before)
				must(t, err)
				e.store.state.Promise = p
			}
			if tc.order == 0 {
				tc.order = 5
			}
			id := testID(tc.order)
			req := testRequest(id, n1)
			e.back = &peerpb.PromiseResponse{Node: n1, ClusterId: id[:]}
			if tc.set != nil {
				tc.set(e, req)
			}
			if tc.caller == "" {
				tc.caller = n1
			}
			before := e.store.State()
			resp, err := e.f.Grant(t.Context(), req, tc.caller)
			if err != nil || resp.GetGranted() != (tc.says == "") || !strings.Contains(resp.GetReason(), tc.says) {
				t.Fatalf("granted %v (%q), %v; want %q", resp.GetGranted(), resp.GetReason(), err, tc.says)
			}
			after := e.store.State()
			if !resp.GetGranted() {
				if x, _ := before.Identity(); after.Promise != nil && after.Promise.ClusterID != x && after.ClusterID.IsZero() {
					t.Errorf("refused, and changed its promise to %+v", after.Promise)
				}
				return
			}
			if got, _ := after.Identity(); got != id || !after.Founder(n1) || !after.Founder(n2) || after.Founder(n3) || resp.GetNode() != n2 {
				t.Errorf("granted, and holds %+v", after)
			}
			if tc.before != nil && before.Promise.ClusterID != id && (!after.refuses(before.Promise.ClusterID) || e.quiets != 11) {
				t.Errorf("replaced a promise: refuses %v, raft stopped and started %d", after.Refused, e.quiets)
			}
		})
	}
}

func newGrantEnv(t *testing.T) *grantEnv {
	t.Helper()
	e := &grantEnv{store: newMemStore(n2)}
	f, err := NewFounder(FounderConfig{Self: Address{n2, "b:1"}, StartLine: StartLine{"a:1", "b:1"}, Store: e.store, Dialer: e, Replica: e})
	must(t, err)
	e.f = f
	return e
}

// A promise that cannot be stored is an error that stops the node; a probe
// tells who answers, and changes nothing.
func TestGrant_StoreFailsAndProbe(t *testing.T) {
	e := newGrantEnv(t)
	id := testID(5)
	e.back = &peerpb.PromiseResponse{Node: n1, ClusterId: id[:]}
	e.store.fail = &halt.Error{Reason: halt.Directory, Err: errors.New("disk")}
	if resp, err := e.f.Grant(t.Context(), testRequest(id, n1), n1); !errors.Is(err, e.store.fail) || resp.GetGranted() {
		t.Fatal(resp, err)
	}
	e.store.fail = nil
	resp, err := e.f.Grant(t.Context(), &peerpb.PromiseRequest{}, n3)
	if err != nil || resp.GetNode() != n2 || resp.GetGranted() || resp.GetHasState() || len(resp.GetClusterId()) > 0 || len(resp.GetStartLine()) != 2 || e.store.writes != 0 {
		t.Fatal(resp, err)
	}
	e.store.state.ClusterID, e.store.state.Generation = id, 1
	if resp, err = e.f.Grant(t.Context(), &peerpb.PromiseRequest{}, n3); err != nil || !resp.GetHasState() || ClusterID(resp.GetClusterId()) != id {
		t.Fatal(resp, err)
	}
}

func FuzzPromiseFrom(f *testing.F) {
	f.Add("a:1", "b:1", n1, n2, []byte("0123456789abcdef"), uint64(7))
	f.Add("", "", "", "", []byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, addr1, addr2, id1, id2 string, cluster []byte, generation uint64) {
		a := &peerpb.Node{Id: id1, PeerAddress: addr1}
		p, err := promiseFrom(&peerpb.PromiseRequest{
			ClusterId: cluster, Generation: generation, StartLine: []string{addr1, addr2}, Coordinator: a, Members: []*peerpb.Node{a, {Id: id2, PeerAddress: addr2}},
		})
		if err != nil {
			return
		}
		s := State{Format: format, Node: n1, Promise: p}
		data, err := encodeState(s)
		if err != nil {
			t.Fatalf("a promise that cannot be stored: %+v: %v", p, err)
		}
		if _, err := decodeState(data); err != nil {
			t.Fatalf("a promise that cannot be read back: %+v: %v", p, err)
		}
	})
}

// runNet connects founders that run by themselves, on real data directories.
type runNet struct{ founders sync.Map } // address to *Founder

func (n *runNet) at(addr string) *Founder {
	f, _ := n.founders.Load(addr)
	founder, _ := f.(*Founder)
	return founder
}

type runNode struct {
	net  *runNet
	self string
	raft *atomic.Bool
}

func (n runNode) Promise(ctx context.Context, addr string, req *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	to := n.net.at(addr)
	if to == nil {
		return nil, errors.New("connection refused")
	}
	return to.Grant(ctx, req, n.self)
}

func (n runNode) Join(context.Context, string, *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	return nil, errors.New("no leader is known here")
}

func (n runNode) HasState() bool                          { return n.raft.Load() }
func (n runNode) Quiesce(context.Context) (func(), error) { return func() {}, nil }
func (n runNode) Bootstrap(voters []string) error         { n.raft.Store(true); return nil }

// Founders that run by themselves on real directories, the last one started
// late, found one cluster, and only when all are there; Run ends with its
// context.
func TestFounder_Run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, done := &runNet{}, make(chan error, 3)
		line, err := NewStartLine(3, "a:1", []string{"b:1", "c:1"})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		states := map[string]*atomic.Bool{}
		dirs := map[string]*Directory{}
		start := func(addr string) {
			d := openDirectory(t, t.TempDir(), addr[:1])
			id := d.Node().State().Node
			states[addr], dirs[addr] = new(atomic.Bool), d
			n := runNode{net, id, states[addr]}
			f, err := NewFounder(FounderConfig{Self: Address{id, addr}, StartLine: line, Store: d.Node(), Dialer: n, Replica: n})
			must(t, err)
			net.founders.Store(addr, f)
			go func() { done <- f.Run(ctx) }()
		}
		start("a:1")
		start("b:1")
		time.Sleep(10 * time.Second)
		if w := net.at("a:1").Waiting(); w != "c:1 does not answer: connection refused" {
			t.Errorf("the coordinator waits for %q", w)
		}
		if w := net.at("b:1").Waiting(); !strings.Contains(w, "the lowest address, has not asked") || len(done) > 0 {
			t.Errorf("b waits for %q", w)
		}
		start("c:1")
		must(t, <-done) // the coordinator
		if !states["a:1"].Load() {
			t.Fatal("somebody else came first")
		}
		time.Sleep(time.Second)
		states["b:1"].Store(true) // the leader called
		must(t, <-done)
		id, _ := dirs["a:1"].Node().State().Identity()
		for addr, d := range dirs {
			if got, _ := d.Node().State().Identity(); got != id || id.IsZero() {
				t.Errorf("%s is of cluster %s, a of %s", addr, got, id)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("c ends with %v", err)
		}
	})
}
