// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	hawser "github.com/hawserdb/hawser"
)

// Claim: a follower that campaigns wins at once, long before raft's own timeout
// would let it try, also where the leader lives.
func TestCampaign_WinsAtOnce(t *testing.T) {
	g := newGroup(t, 3, func(c *Config) { c.Timeouts.Heartbeat, c.Timeouts.Lease = time.Minute, time.Minute })
	// With timeouts of a minute the first election is a campaign, too.
	eventually(t, "the founders know each other", func() bool { return len(g.members["n1"].replica.Configuration().Servers) == 3 })
	first := g.members["n1"]
	if err := first.replica.Campaign(t.Context(), first.replica.Term()); err != nil {
		t.Fatal(err)
	}
	g.propose(g.leader(), 3, 10)
	g.same(first)
	second := g.members["n2"]
	term := second.replica.Term()
	if err := second.replica.Campaign(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	if l := g.leader("n1"); l != second {
		t.Fatalf("%s leads", l.id)
	}
	g.propose(second, 3, 10)
	g.same(second)
	s := second.replica.Standing()
	lastTerm, lastIndex := second.replica.LastEntry()
	if s.Leader != "n2" || !s.Leads || s.Candidate || s.Term <= term || lastIndex != second.replica.LastIndex() || lastTerm != s.Term {
		t.Errorf("standing %+v", s)
	}
	if s := g.members["n3"].replica.Standing(); s.Leader != "n2" || s.Leads || time.Since(s.Contact) > 10*time.Second {
		t.Errorf("standing of a follower %+v", s)
	}
}

// Claim: who must not stand does not: a leader, a standby, a node outside the
// configuration, one in another term, one that receives a snapshot, one that
// has stopped. The leader and the term stay.
func TestCampaign_Refuses(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader := g.leader()
	g.propose(leader, 1, 10)
	standby := g.start("n4")
	if err := leader.replica.AddStandby(t.Context(), "n4"); err != nil {
		t.Fatal(err)
	}
	g.same(leader)
	follower, term := g.follower(leader), leader.replica.Term()
	stranger := g.start("n5")
	installing := g.members["n4"]
	for _, m := range g.members {
		if m != leader && m != follower && m != standby && m != stranger {
			installing = m
		}
	}
	installing.replica.trans.receiving.Add(1)
	defer installing.replica.trans.receiving.Add(-1)
	for name, c := range map[string]struct {
		m    *member
		term uint64
	}{
		"leader": {leader, term}, "standby": {standby, term}, "stranger": {stranger, stranger.replica.Term()},
		"earlier term": {follower, term - 1}, "later term": {follower, term + 1}, "installing": {installing, term},
	} {
		if err := c.m.replica.Campaign(t.Context(), c.term); !errors.Is(err, hawser.ErrRefused) {
			t.Errorf("%s: %v, want refused", name, err)
		}
	}
	_ = follower.replica.latch.fail(errors.New("on purpose"))
	if err := follower.replica.Campaign(t.Context(), term); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("stopped: %v", err)
	}
	if !leader.replica.IsLeader() || leader.replica.Term() != term {
		t.Errorf("leads %v, term %d, want %d", leader.replica.IsLeader(), leader.replica.Term(), term)
	}
}

// Claim: a campaign that raft does not take up in time never reaches it, where
// it could vote out a later leader.
func TestCampaign_NeverComesLate(t *testing.T) {
	trans := &transport{consumer: make(chan raft.RPC), stopping: make(chan struct{})}
	r := &Replica{trans: trans}
	begin := time.Now()
	err := r.handOver(t.Context(), nil)
	if took := time.Since(begin); err == nil || took < campaignWait || took > 10*campaignWait {
		t.Fatalf("%v after %v", err, took)
	}
	select {
	case rpc := <-trans.consumer:
		t.Fatalf("raft got %v after all", rpc.Command)
	default:
	}
}

// Claim: a replica counts as installing while raft has the snapshot, no longer.
func TestCampaign_KnowsOfAnInstall(t *testing.T) {
	trans := &transport{consumer: make(chan raft.RPC), stopping: make(chan struct{}), latch: &latch{stopped: make(chan struct{})}}
	outer := make(chan raft.RPCResponse, 1)
	trans.wg.Go(func() { trans.watchInstall(raft.RPC{RespChan: outer}, entryID{}) })
	rpc := <-trans.consumer
	if n := trans.receiving.Load(); n != 1 {
		t.Errorf("%d snapshots on their way", n)
	}
	rpc.Respond(nil, errors.New("on purpose"))
	<-outer
	trans.wg.Wait()
	if n := trans.receiving.Load(); n != 0 {
		t.Errorf("%d snapshots on their way after the answer", n)
	}
}
