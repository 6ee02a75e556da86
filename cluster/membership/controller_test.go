// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/policy"
	"github.com/hawserdb/hawser/internal/peerpb"
)

func startController(raft *fakeRaft, members *fakeMembers) *Controller {
	return NewController(ControllerConfig{Self: n1, Raft: raft, Progress: members, Gossip: members.liveness})
}

// A voter that dies is replaced by the standby after the stabilisation time
// and then removed, one step a second, and not a moment before.
func TestController_ReplacesDeadVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raft, members := newFakeRaft(n1, n2, n3), newFakeMembers(n2, n3, n4)
		raft.conf.Servers = append(raft.conf.Servers, Server{ID: n4})
		c := startController(raft, members)
		defer c.Close()
		time.Sleep(2 * time.Minute)
		members.stop(n3, policy.Dead)
		time.Sleep(29 * time.Second)
		if did := raft.did(); len(did) > 0 {
			t.Fatalf("too early: %q", did)
		}
		if notes := strings.Join(c.Notes(), "\n"); !strings.Contains(notes, n3) {
			t.Errorf("notes %q do not name the silent voter", notes)
		}
		time.Sleep(5 * time.Second)
		if did := raft.did(); !slices.Equal(did, []string{"promote " + n4, "remove " + n3}) {
			t.Fatalf("did %q", did)
		}
		time.Sleep(time.Hour)
		if did := raft.did(); len(did) > 0 || len(c.Notes()) > 0 {
			t.Fatalf("did %q, notes %q", did, c.Notes())
		}
	})
}

// Nothing happens during a rolling reboot, when only one of raft and gossip
// misses a node, while a configuration is under way, on a follower, or on a
// leader that is new; a standby's time of following begins again after a break.
func TestController_LeavesAlone(t *testing.T) {
	for name, script := range map[string]func(*fakeRaft, *fakeMembers){
		"rolling reboot": func(_ *fakeRaft, m *fakeMembers) {
			for _, id := range []string{n2, n3} {
				m.stop(id, policy.Dead)
				time.Sleep(25 * time.Second)
				m.alive(id, 0)
				time.Sleep(5 * time.Second)
			}
		},
		"gossip alone": func(_ *fakeRaft, m *fakeMembers) {
			m.mu.Lock()
			m.gossip[n3] = policy.Dead
			m.mu.Unlock()
			time.Sleep(10 * time.Minute)
		},
		"raft alone": func(_ *fakeRaft, m *fakeMembers) {
			m.stop(n3, policy.Alive)
			time.Sleep(10 * time.Minute)
		},
		"under way": func(r *fakeRaft, m *fakeMembers) {
			m.stop(n3, policy.Dead)
			r.mu.Lock()
			r.conf.Index = 50
			r.mu.Unlock()
			time.Sleep(10 * time.Minute)
		},
		"follower": func(r *fakeRaft, m *fakeMembers) {
			r.mu.Lock()
			r.leader = n2
			r.mu.Unlock()
			m.stop(n3, policy.Dead)
			time.Sleep(10 * time.Minute)
		},
		"leader changes": func(r *fakeRaft, m *fakeMembers) {
			m.stop(n3, policy.Dead)
			for range 20 {
				time.Sleep(20 * time.Second)
				r.mu.Lock()
				r.term++
				r.mu.Unlock()
			}
		},
		"standby comes and goes": func(_ *fakeRaft, m *fakeMembers) {
			m.stop(n3, policy.Dead)
			for range 20 {
				m.alive(n4, 100000)
				time.Sleep(2 * time.Second)
				m.alive(n4, 0)
				time.Sleep(20 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				raft, members := newFakeRaft(n1, n2, n3), newFakeMembers(n2, n3, n4)
				raft.conf.Servers = append(raft.conf.Servers, Server{ID: n4})
				c := startController(raft, members)
				defer c.Close()
				time.Sleep(time.Minute)
				script(raft, members)
				if did := raft.did(); len(did) > 0 {
					t.Fatalf("did %q", did)
				}
			})
		})
	}
}

// A change that fails is tried again in the next round, with a fresh index.
func TestController_RetriesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raft, members := newFakeRaft(n1, n2, n3), newFakeMembers(n2, n3, n4)
		raft.conf.Servers = append(raft.conf.Servers, Server{ID: n4})
		raft.fail = errors.New("leadership lost")
		c := startController(raft, members)
		members.stop(n3, policy.Unknown)
		time.Sleep(45 * time.Second)
		if did := raft.did(); len(did) < 5 || did[0] != "promote "+n4 {
			t.Fatalf("did %q", did)
		}
		if notes := c.Notes(); len(notes) == 0 || !strings.HasPrefix(notes[0], "promote "+n4+": ") {
			t.Errorf("notes %q", notes)
		}
		c.Close()
		c.Close()
		raft.did()
		time.Sleep(time.Minute)
		if did := raft.did(); len(did) > 0 {
			t.Errorf("after Close did %q", did)
		}
	})
}

// Answers count only in the leader's own term and from the node asked; a
// member that does not answer delays nobody and is asked once at a time.
func TestTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raft := newFakeRaft(n1, n2, n3)
		raft.conf.Servers = append(raft.conf.Servers, Server{ID: n4})
		raft.last, raft.commit = 100, 90
		var mu sync.Mutex
		hanging, most := 0, 0
		tracker := NewTracker(TrackerConfig{Self: n1, Raft: raft, Ask: func(ctx context.Context, id string, req *peerpb.TermRequest) (*peerpb.TermResponse, error) {
			switch id {
			case n2:
				return &peerpb.TermResponse{Node: n2, Term: req.GetTerm(), LastIndex: 98, AppliedIndex: 85, FreeBytes: 7}, nil
			case n3:
				return &peerpb.TermResponse{Node: n3, Term: req.GetTerm() - 1, LastIndex: 100, AppliedIndex: 100}, nil
			}
			mu.Lock()
			hanging++
			most = max(most, hanging)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			hanging--
			mu.Unlock()
			return nil, ctx.Err()
		}})
		time.Sleep(10 * time.Second)
		f, ok := tracker.Follower(n2)
		if !ok || f.Lag != 5 || f.FreeBytes != 7 || time.Since(f.Contact) > time.Second || !inContact(tracker, n2) {
			t.Errorf("n2: %+v, %v", f, ok)
		}
		if _, ok := tracker.Follower(n3); ok {
			t.Error("an answer in an older term counts")
		}
		mu.Lock()
		if _, ok := tracker.Follower(n4); ok || most != 1 {
			t.Errorf("n4 answers %v, %d questions at once", ok, most)
		}
		mu.Unlock()
		raft.mu.Lock()
		raft.leader = n2
		raft.mu.Unlock()
		time.Sleep(2 * time.Second)
		if _, ok := tracker.Follower(n2); ok {
			t.Error("a node that does not lead any more remembers followers")
		}
		tracker.Close()
		tracker.Close()
	})
}

// Each manual operation, by name and by id.
func TestManager(t *testing.T) {
	const old = "n3-0000000f"
	for _, tc := range []struct {
		name  string
		set   func(*fakeRaft, *fakeMembers)
		do    func(context.Context, *Manager) error
		code  hawser.Code
		says  string
		calls string
	}{
		{name: "promote", do: promoteOp("n4", 0), calls: "promote " + n4},
		{name: "promote by id with the index", do: promoteOp(n4, 1), calls: "promote " + n4},
		{name: "promote with another index", do: promoteOp(n4, 2), code: hawser.CodeRefused, says: "has index 1, not 2"},
		{name: "promote a voter", do: promoteOp("n2", 0)},
		{name: "promote a stranger", do: promoteOp("n9", 0), code: hawser.CodeNotFound, says: "no member"},
		{name: "promote nobody", do: promoteOp("", 0), code: hawser.CodeNotFound},
		{name: "promote one that lags", set: func(_ *fakeRaft, m *fakeMembers) { m.alive(n4, 5000) }, do: promoteOp("n4", 0), code: hawser.CodeRefused, says: "5000 entries behind"},
		{name: "promote one that is gone", set: func(_ *fakeRaft, m *fakeMembers) { delete(m.lag, n4) }, do: promoteOp("n4", 0), code: hawser.CodeRefused, says: "no contact"},
		{name: "elsewhere", set: func(r *fakeRaft, _ *fakeMembers) { r.leader = n2 }, do: promoteOp("n4", 0), code: hawser.CodeNotLeader},
		{name: "remove a voter", do: removeOp("n3", false), calls: "remove " + n3},
		{name: "remove a standby", do: removeOp("n4", false), calls: "remove " + n4},
		{name: "remove an id that is gone", do: removeOp("n9-00000009", false)},
		{name: "remove a name that is gone", do: removeOp("n9", false), code: hawser.CodeNotFound},
		{name: "remove by a name of two", set: func(r *fakeRaft, _ *fakeMembers) { r.conf.Servers = append(r.conf.Servers, Server{ID: old}) }, do: removeOp("n3", false), code: hawser.CodeInvalid, says: n3 + ", " + old},
		{name: "remove one of them by id", set: func(r *fakeRaft, _ *fakeMembers) { r.conf.Servers = append(r.conf.Servers, Server{ID: old}) }, do: removeOp(old, false), calls: "remove " + old},
		{name: "remove without a majority", set: func(_ *fakeRaft, m *fakeMembers) { delete(m.lag, n3) }, do: removeOp("n2", false), code: hawser.CodeRefused, says: "only 1 live, and 2 are needed"},
		{name: "remove by force", set: func(_ *fakeRaft, m *fakeMembers) { delete(m.lag, n3) }, do: removeOp("n2", true), calls: "remove " + n2},
		{name: "remove the dead one instead", set: func(_ *fakeRaft, m *fakeMembers) { delete(m.lag, n3) }, do: removeOp("n3", false), calls: "remove " + n3},
		{name: "remove the last voter", set: func(r *fakeRaft, _ *fakeMembers) {
			r.conf.Servers = []Server{{ID: n1, Voter: true}, {ID: n4}}
		}, do: removeOp("n1", true), code: hawser.CodeRefused, says: "last voter"},
		{name: "remove the leader", do: removeOp("n1", false), code: hawser.CodeNotLeader, says: "handed the leadership over", calls: "transfer " + n2},
		{name: "remove the leader, nobody takes over", set: func(r *fakeRaft, _ *fakeMembers) { r.fail = hawser.ErrUnavailable }, do: removeOp("n1", false), code: hawser.CodeUnavailable, says: "hand the leadership over first", calls: "transfer " + n2},
		{name: "transfer to the best", do: transferOp(""), calls: "transfer " + n2},
		{name: "transfer", do: transferOp("n3"), calls: "transfer " + n3},
		{name: "transfer to itself", do: transferOp("n1")},
		{name: "transfer to a standby", do: transferOp("n4"), code: hawser.CodeRefused, says: "promote it first"},
		{name: "transfer to a dead voter", set: func(_ *fakeRaft, m *fakeMembers) { m.gossip[n3] = policy.Dead }, do: transferOp("n3"), code: hawser.CodeRefused, says: "no contact"},
		{name: "transfer of the only voter", set: func(r *fakeRaft, _ *fakeMembers) { r.conf.Servers = r.conf.Servers[:1] }, do: transferOp(""), code: hawser.CodeRefused, says: "only voter"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raft, members := newFakeRaft(n1, n2, n3), newFakeMembers(n2, n3, n4)
			raft.conf.Servers = append(raft.conf.Servers, Server{ID: n4})
			raft.transfer = n2
			if tc.set != nil {
				tc.set(raft, members)
			}
			err := tc.do(t.Context(), NewManager(n1, raft, members, members.liveness))
			if hawser.CodeOf(err) != tc.code || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %s with %q", err, tc.code, tc.says)
			}
			if got := strings.Join(raft.did(), ","); got != tc.calls {
				t.Errorf("did %q, want %q", got, tc.calls)
			}
		})
	}
}

func promoteOp(node string, expect uint64) func(context.Context, *Manager) error {
	return func(ctx context.Context, m *Manager) error { return m.Promote(ctx, node, expect) }
}

func removeOp(node string, force bool) func(context.Context, *Manager) error {
	return func(ctx context.Context, m *Manager) error { return m.Remove(ctx, node, 0, force) }
}

func transferOp(node string) func(context.Context, *Manager) error {
	return func(ctx context.Context, m *Manager) error { return m.Transfer(ctx, node) }
}
