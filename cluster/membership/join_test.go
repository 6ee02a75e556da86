// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/policy"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

const (
	n1 = "n1-00000001"
	n2 = "n2-00000002"
	n3 = "n3-00000003"
	n4 = "n4-00000004"
)

// joinDialer answers Join by address.
type joinDialer map[string]func(*peerpb.JoinRequest) (*peerpb.JoinResponse, error)

func (d joinDialer) Join(_ context.Context, addr string, req *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	if answer := d[addr]; answer != nil {
		return answer(req)
	}
	return nil, errors.New("connection refused")
}

func (d joinDialer) Promise(context.Context, string, *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	return nil, errors.New("not here")
}

func takes(id ClusterID) func(*peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	return func(req *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
		return &peerpb.JoinResponse{ClusterId: id[:], Generation: 7, Members: []*peerpb.Node{
			{Id: n1, PeerAddress: "a:1", Voter: true}, req.GetNode(), {Id: "nonsense", PeerAddress: "c:1"}, {Id: n3, PeerAddress: "0.0.0.0:1"},
		}}, nil
	}
}

func pointsTo(addr string) func(*peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	return func(*peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
		return &peerpb.JoinResponse{LeaderAddress: addr}, nil
	}
}

func newTestJoiner(t *testing.T, store Store, d Dialer, addrs ...string) *Joiner {
	t.Helper()
	j, err := NewJoiner(JoinConfig{Self: Address{ID: n4, Peer: "d:1"}, FeatureLevel: 1, Addresses: addrs, Dialer: d, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// A node asks in turn, follows hints to the leader, goes on while nobody takes
// it, and has stored what it belongs to when Run returns.
func TestJoiner_FollowsHintsAndRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, id, start := newMemStore(n4), ClusterID{1}, time.Now()
		d := joinDialer{"b:1": pointsTo("c:1"), "c:1": pointsTo("b:1")} // nobody leads; they point at each other
		d["a:1"] = func(req *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
			if time.Since(start) < 20*time.Second {
				return nil, errors.New("no leader is known here")
			}
			return takes(id)(req)
		}
		d["e:1"] = func(*peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
			return &peerpb.JoinResponse{ClusterId: []byte("short")}, nil
		}
		j := newTestJoiner(t, store, d, "e:1", "f:1", "B:01", "a:1", "d:1")
		if err := j.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		for _, want := range []string{"e:1: malformed answer", "f:1: connection refused", "b:1 names c:1", "a:1: no leader"} {
			if !strings.Contains(j.Waiting(), want) {
				t.Errorf("waited for %q, without %q", j.Waiting(), want)
			}
		}
		s := store.State()
		if s.ClusterID != id || s.Generation != 7 || s.Started || !slices.Equal(s.Book, []Address{{n1, "a:1"}, {n4, "d:1"}}) {
			t.Errorf("stored %+v", s)
		}
		if err := newTestJoiner(t, store, joinDialer{}, "a:1").Run(t.Context()); err != nil {
			t.Errorf("a node that belongs asks again: %v", err)
		}
	})
}

// Run ends with its context, and with a store that fails; a cluster that the
// node promised to leave, or another than its own, does not take it.
func TestJoiner_Ends(t *testing.T) {
	id, other := ClusterID{1}, ClusterID{2}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := newTestJoiner(t, newMemStore(n4), joinDialer{}, "a:1").Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ends with %v", err)
	}
	broken := newMemStore(n4)
	broken.fail = &halt.Error{Reason: halt.Directory, Err: errors.New("disk")}
	if err := newTestJoiner(t, broken, joinDialer{"a:1": takes(id)}, "a:1").Run(t.Context()); !errors.Is(err, broken.fail) {
		t.Errorf("a store that fails: %v", err)
	}
	refusing := newMemStore(n4)
	refusing.state.Refused = []ClusterID{id}
	promised := newMemStore(n4)
	self := Address{n4, "d:1"}
	promised.state.Promise = &Promise{ClusterID: other, Generation: 1, StartLine: []string{"d:1"}, Members: []Address{self}, Coordinator: self}
	for name, tc := range map[string]struct {
		store *memStore
		says  string
	}{
		"refusing": {refusing, "start it with an empty data directory"},
		"promised": {promised, ""},
	} {
		j := newTestJoiner(t, tc.store, joinDialer{"a:1": takes(id)}, "a:1")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := j.Run(ctx)
		cancel()
		if (err == nil) != (tc.says == "") || !strings.Contains(j.Waiting(), tc.says) {
			t.Errorf("%s: %v, waits %q", name, err, j.Waiting())
		}
	}
	if s := promised.State(); s.Promise != nil || !s.refuses(other) || s.ClusterID != id {
		t.Errorf("a node that was told to join kept its promise: %+v", s)
	}
}

func TestNewJoiner_Invalid(t *testing.T) {
	for _, addrs := range [][]string{nil, {"d:1"}, {"a"}, {"0.0.0.0:1"}} {
		if _, err := NewJoiner(JoinConfig{Self: Address{n4, "d:1"}, Addresses: addrs}); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%q: %v", addrs, err)
		}
	}
}

type takerEnv struct {
	raft    *fakeRaft
	members *fakeMembers
	store   *memStore
	taker   *Taker
}

func newTakerEnv() *takerEnv {
	e := &takerEnv{raft: newFakeRaft(n1, n2, n3), members: newFakeMembers(n2, n3), store: newMemStore(n1)}
	e.store.state.ClusterID, e.store.state.Generation = ClusterID{5}, 6
	e.store.state.learn(Address{n1, "a:1"}, Address{n2, "b:1"}, Address{n3, "c:1"})
	e.taker = NewTaker(TakerConfig{
		Self: n1, Raft: e.raft, Store: e.store, Book: NewBook(e.store), Progress: e.members, Gossip: e.members.liveness,
		Generation: func() uint64 { return 9 }, Level: func() uint32 { return 2 },
	})
	return e
}

// Who is taken in, who is refused, and with which code and words.
func TestTaker(t *testing.T) {
	for _, tc := range []struct {
		name     string
		set      func(*takerEnv)
		id, addr string
		caller   string // "" is id
		level    uint32 // 0 is 2
		code     hawser.Code
		says     string
		calls    string
		leader   string
	}{
		{name: "new node", id: n4, addr: "d:1", calls: "add " + n4},
		{name: "member again", id: n3, addr: "c:2"},
		{name: "two nodes with one name", id: "n3-0000000f", addr: "d:1", code: hawser.CodeRefused, says: `another node with the name "n3" lives`},
		{name: "one name, dead by raft only", set: func(e *takerEnv) { e.members.stop(n3, policy.Alive); e.members.last[n3] = time.Time{} }, id: "n3-0000000f", addr: "c:1", code: hawser.CodeRefused, says: "lives"},
		{name: "wiped node", set: func(e *takerEnv) { e.members.stop(n3, policy.Dead); e.members.last[n3] = time.Time{} }, id: "n3-0000000f", addr: "c:1", calls: "add n3-0000000f"},
		{name: "address of a live member", id: n4, addr: "c:1", code: hawser.CodeRefused, says: "is that of n3-00000003, which lives"},
		{name: "the leader's own name", id: "n1-0000000f", addr: "d:1", code: hawser.CodeRefused, says: "lives"},
		{name: "binary too old", id: n4, addr: "d:1", level: 1, code: hawser.CodeRefused, says: "feature level 1 is below the cluster's 2"},
		{name: "in another's name", id: n4, addr: "d:1", caller: n2, code: hawser.CodeInvalid, says: "in the name of"},
		{name: "bad id", id: "n4", addr: "d:1", code: hawser.CodeInvalid, says: "8 hex digits"},
		{name: "bad address", id: n4, addr: "0.0.0.0:1", code: hawser.CodeInvalid, says: "stands for every address"},
		{name: "not the leader", set: func(e *takerEnv) { e.raft.leader = n2 }, id: n4, addr: "d:1", leader: "b:1"},
		{name: "no leader", set: func(e *takerEnv) { e.raft.leader = "" }, id: n4, addr: "d:1", code: hawser.CodeUnavailable, says: "no leader"},
		{name: "full", set: func(e *takerEnv) {
			for i := range MaxMembers {
				e.raft.conf.Servers = append(e.raft.conf.Servers, Server{ID: fmt.Sprintf("x-%08x", i)})
			}
		}, id: n4, addr: "d:1", code: hawser.CodeRefused, says: "members already"},
		{name: "change fails", set: func(e *takerEnv) { e.raft.fail = hawser.ErrUnavailable }, id: n4, addr: "d:1", code: hawser.CodeUnavailable, calls: "add " + n4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newTakerEnv()
			if tc.set != nil {
				tc.set(e)
			}
			if tc.level == 0 {
				tc.level = 2
			}
			if tc.caller == "" {
				tc.caller = tc.id
			}
			resp, err := e.taker.Take(t.Context(), &peerpb.JoinRequest{Node: &peerpb.Node{Id: tc.id, PeerAddress: tc.addr}, FeatureLevel: tc.level}, tc.caller)
			if hawser.CodeOf(err) != tc.code || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v, want %s with %q", err, tc.code, tc.says)
			}
			if got := strings.Join(e.raft.did(), ","); got != tc.calls {
				t.Errorf("did %q, want %q", got, tc.calls)
			}
			if resp.GetLeaderAddress() != tc.leader {
				t.Errorf("names leader %q, want %q", resp.GetLeaderAddress(), tc.leader)
			}
			if err != nil || tc.leader != "" {
				return
			}
			at := slices.IndexFunc(resp.GetMembers(), func(n *peerpb.Node) bool { return n.GetId() == tc.id })
			if ClusterID(resp.GetClusterId()) != (ClusterID{5}) || resp.GetGeneration() != 9 || at < 0 || resp.GetMembers()[at].GetPeerAddress() != tc.addr {
				t.Errorf("answers %v", resp)
			}
		})
	}
}

// Of two new nodes with one name that come at once, one is taken in.
func TestTaker_TwoNewNodesWithOneName(t *testing.T) {
	e := newTakerEnv()
	e.taker.cfg.Gossip = func(string) policy.Liveness { return policy.Unknown }
	refused := 0
	for i, id := range []string{"n4-0000000a", "n4-0000000b"} {
		_, err := e.taker.Take(t.Context(), &peerpb.JoinRequest{Node: &peerpb.Node{Id: id, PeerAddress: fmt.Sprintf("d:%d", i+1)}, FeatureLevel: 2}, id)
		if errors.Is(err, hawser.ErrRefused) || hawser.CodeOf(err) == hawser.CodeRefused {
			refused++
		}
	}
	if refused != 1 {
		t.Fatalf("%d were refused", refused)
	}
}

// The book is written only when something changed, takes valid entries only,
// is bounded, and makes room by what members need.
func TestBook(t *testing.T) {
	store := newMemStore(n1)
	b := NewBook(store)
	given := []Address{{n2, "B:01"}, {"x", "b:1"}, {n3, "0.0.0.0:1"}}
	must(t, b.Learn(given...))
	if given[0].Peer != "B:01" {
		t.Error("the caller's slice was changed")
	}
	must(t, b.Learn(Address{n2, "b:1"}))
	must(t, b.Learn())
	must(t, b.Learn(Address{"bad", "bad"}))
	if addr, ok := b.Resolve(n2); !ok || addr != "b:1" || store.writes != 1 {
		t.Fatalf("%q, %v, %d writes", addr, ok, store.writes)
	}
	if _, ok := b.Resolve(n3); ok || len(b.Addresses()) != 1 {
		t.Fatal(b.Addresses())
	}
	must(t, b.Learn(Address{n2, "b:2"}))
	if addr, _ := b.Resolve(n2); addr != "b:2" || store.writes != 2 {
		t.Fatal(addr, store.writes)
	}
	for i := range 2 * maxBook {
		must(t, b.Learn(Address{fmt.Sprintf("x-%08x", i), "x:1"}))
	}
	if n := len(b.Addresses()); n != maxBook {
		t.Fatalf("%d entries", n)
	}
	must(t, b.Learn(Address{n2, "b:3"})) // an id that is known is kept up to date
	must(t, b.Retain([]string{n2, n3}))
	if addr, _ := b.Resolve(n2); addr != "b:3" || len(b.Addresses()) != 1 {
		t.Fatal(b.Addresses())
	}
	writes := store.writes
	must(t, b.Retain(nil))
	if len(b.Addresses()) != 1 || store.writes != writes {
		t.Fatal("a book with room was pruned")
	}
}
