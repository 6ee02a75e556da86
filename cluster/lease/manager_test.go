// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// cluster stands for the log and the machine.
type cluster struct {
	m *Manager

	mu      sync.Mutex
	term    uint64
	leases  []fsm.LeaseInfo
	ended   []fsm.EndedHold
	waiters []hawser.Waiter
	health  map[hawser.LeaseID]hawser.HealthState
	// submitted are the commands with the times at which they came; fail is what
	// they get, more what the next end says.
	submitted []submission
	fail      error
	more      bool
	round     func(context.Context) error
}

type submission struct {
	at      time.Time
	command fsm.Command
}

func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{round: func(context.Context) error { return nil }}
	c.m = New(Config{
		Self: "n1", Logger: slog.New(slog.DiscardHandler), View: func() (View, error) { return view{c}, nil }, Submit: c.submit,
		Round: func(ctx context.Context) error {
			c.mu.Lock()
			round := c.round
			c.mu.Unlock()
			return round(ctx)
		},
		ReadyTerm: func() uint64 { c.mu.Lock(); defer c.mu.Unlock(); return c.term },
		Health: func(_ hawser.AgentID, l hawser.LeaseID) hawser.HealthState {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.health[l]
		},
	})
	t.Cleanup(c.m.Close)
	return c
}

func (c *cluster) apply(cmd fsm.Command, res fsm.Result) {
	c.m.OnApplied([]fsm.Applied{{Commands: []fsm.Command{cmd}, Results: []fsm.Result{res}}})
}

// set changes what the others read.
func (c *cluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// nth returns a command that was submitted.
func (c *cluster) nth(n int) fsm.Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.submitted[n].command
}

func (c *cluster) lead(term uint64) {
	c.set(func() { c.term = term })
	c.apply(&fsm.LeaderStart{Term: term, Node: "n1"}, fsm.Result{})
	synctest.Wait()
}

func (c *cluster) open(id hawser.LeaseID, ttl time.Duration) {
	c.apply(&fsm.OpenLease{Lease: id, TTL: ttl}, fsm.Result{})
}

func (c *cluster) submit(_ context.Context, cmd fsm.Command) (fsm.Result, error) {
	c.mu.Lock()
	c.submitted = append(c.submitted, submission{time.Now(), cmd})
	res, err := fsm.Result{Released: true, More: c.more}, c.fail
	c.more = false
	c.mu.Unlock()
	if err == nil {
		c.apply(cmd, res)
	}
	return res, err
}

// ends returns when commands came, since then.
func (c *cluster) ends(since time.Time) (after []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.submitted {
		after = append(after, s.at.Sub(since))
	}
	return after
}

type view struct{ c *cluster }

func (v view) Leases(after hawser.LeaseID, limit int) (leases []fsm.LeaseInfo, _ error) {
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	for _, l := range v.c.leases {
		if slices.Compare(l.ID[:], after[:]) > 0 && len(leases) < limit {
			leases = append(leases, l)
		}
	}
	return leases, nil
}

func (v view) EndedHolds() ([]fsm.EndedHold, error) {
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	return v.c.ended, nil
}

func (v view) HoldsOf(hawser.LeaseID, int) ([]hawser.Resource, error) {
	return []hawser.Resource{claimed}, nil
}

func (v view) Waiters(hawser.Resource, int) ([]hawser.Waiter, error) {
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	return slices.Clone(v.c.waiters), nil
}
func (v view) Close() error { return nil }

var (
	l1, l2  = hawser.LeaseID{1}, hawser.LeaseID{2}
	claimed = hawser.Resource{Kind: hawser.ResourceClaim, Name: hawser.AgentID{Namespace: "default", Name: "a"}}
)

func within(t *testing.T, got []time.Duration, want time.Duration) {
	t.Helper()
	if len(got) != 1 || got[0] < want || got[0] > want+2*tick {
		t.Fatalf("ended after %v, expected once after %s", got, want)
	}
}

// A lease that nobody renews ends a TTL after it was opened, under the term of
// the leader; one that is renewed a TTL after the receipt of the last renewal.
func TestManager_ExpiresATTLAfterTheLastRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		begin := time.Now()
		c.open(l1, time.Second)
		for range 10 {
			time.Sleep(300 * time.Millisecond)
			if r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1}, nil); err != nil || len(r.Expired) > 0 {
				t.Fatal(r, err)
			}
		}
		time.Sleep(5 * time.Second)
		within(t, c.ends(begin), 4*time.Second)
		if e, ok := c.nth(0).(*fsm.EndLease); !ok || e.Lease != l1 || e.Term != 5 {
			t.Errorf("%+v", c.nth(0))
		}
		if r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1, l2}, nil); err != nil || !slices.Equal(r.Expired, []hawser.LeaseID{l1, l2}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A renewal that was received before the deadline, and whose round ends after
// it, is acknowledged; one that comes while the end is being proposed waits for
// what becomes of that, and is refused when the lease has ended.
func TestManager_RenewalsAroundTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		c.open(l1, time.Second)
		c.set(func() { c.round = func(context.Context) error { time.Sleep(700 * time.Millisecond); return nil } })
		time.Sleep(900 * time.Millisecond)
		if r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1}, nil); err != nil || len(r.Expired) > 0 {
			t.Fatal(r, err)
		}
		c.set(func() {
			c.round = func(context.Context) error { return nil }
			c.fail = errors.New("no majority")
		})
		time.Sleep(400 * time.Millisecond) // closing now, and its end is repeated
		done := make(chan Renewed)
		go func() {
			r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1}, nil)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		time.Sleep(time.Second)
		select {
		case r := <-done:
			t.Fatalf("answered %+v while the outcome was open", r)
		default:
		}
		c.set(func() { c.fail = nil })
		if r := <-done; len(r.Expired) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// A new leader gives every lease its full TTL from its own start, whatever was
// left of it; it goes on with one that had ended in part, at once.
func TestManager_NewTermStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		c.open(l1, 2*time.Second)
		time.Sleep(1900 * time.Millisecond)
		c.set(func() {
			c.leases = []fsm.LeaseInfo{{ID: l1, TTL: 2 * time.Second}, {ID: l2, TTL: time.Second, Ended: true}}
		})
		begin := time.Now()
		c.lead(6)
		time.Sleep(10 * time.Second)
		got := c.ends(begin)
		if len(got) != 2 || got[0] > 2*tick {
			t.Fatalf("ends at %v", got)
		}
		within(t, got[1:], 2*time.Second)
		if e := c.nth(1).(*fsm.EndLease); e.Lease != l1 || e.Term != 6 {
			t.Errorf("%+v", e)
		}
	})
}

// Another leader's start ends the table: renewals are refused, nothing more is
// proposed.
func TestManager_AnotherLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		c.open(l1, time.Second)
		c.apply(&fsm.LeaderStart{Term: 6, Node: "n2"}, fsm.Result{})
		time.Sleep(3 * time.Second)
		if got := c.ends(time.Now()); len(got) != 0 {
			t.Errorf("proposed %v", got)
		}
		if _, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1}, nil); !errors.Is(err, hawser.ErrNotLeader) {
			t.Error(err)
		}
	})
}

// A renewal that is in its round when the leader changes is not acknowledged.
func TestManager_LeaderChangesDuringTheRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		c.open(l1, time.Second)
		c.set(func() {
			c.round = func(context.Context) error {
				c.apply(&fsm.LeaderStart{Term: 7, Node: "n1"}, fsm.Result{})
				return nil
			}
		})
		if r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1}, nil); !errors.Is(err, hawser.ErrNotLeader) {
			t.Error(r, err)
		}
	})
}

// A tick that is late by more than 100 ms moves every deadline by as much: time
// in which this process could receive nothing does not count.
func TestManager_PausesDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		begin := time.Now()
		c.open(l1, time.Second)
		time.Sleep(500 * time.Millisecond)
		c.m.advance(3 * time.Second)
		c.m.advance(lateTick) // not late enough
		time.Sleep(9 * time.Second)
		within(t, c.ends(begin), 4*time.Second)
	})
}

// Whatever command ends a claim, its holder is told.
func TestManager_EveryEndIsTold(t *testing.T) {
	for _, command := range []fsm.Command{
		&fsm.EndClaim{}, &fsm.Save{}, &fsm.SaveAll{}, &fsm.Rollback{}, &fsm.RollbackCut{}, &fsm.Delete{},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := start(t)
			c.lead(5)
			c.open(l1, time.Second)
			c.apply(command, fsm.Result{Events: []hawser.Event{{Kind: hawser.EventClaimEnded, Name: claimed.Name, Lease: l1, Token: 7, Reason: "why"}}})
			if r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1}, nil); err != nil || len(r.Ended) != 1 || r.Ended[0].Reason != "why" {
				t.Errorf("%T: %+v, %v", command, r, err)
			}
		})
	}
}

// A hold that somebody else has ended goes to the successor when the holder's
// deadline has passed as it stood at the end, though the lease lives on; the
// holder is told of it with every renewal. One that is acknowledged before
// needs nothing.
func TestManager_EndedHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.set(func() {
			c.ended = []fsm.EndedHold{{Resource: claimed, Lease: l2, Token: 3}}
			c.leases = []fsm.LeaseInfo{{ID: l2, TTL: time.Second}}
		})
		c.lead(5)
		c.open(l1, time.Second)
		keep := func() (ended int) {
			r, err := c.m.Renew(t.Context(), []hawser.LeaseID{l1, l2}, nil)
			if err != nil || len(r.Expired) > 0 {
				t.Fatal(r, err)
			}
			return len(r.Ended)
		}
		if n := keep(); n != 1 {
			t.Fatalf("%d ended holds are told", n)
		}
		c.apply(&fsm.Release{Resource: claimed, Lease: l2}, fsm.Result{Released: true})
		end := fsm.Result{Events: []hawser.Event{{Kind: hawser.EventClaimEnded, Name: claimed.Name, Lease: l1, Token: 7, Reason: "why"}}}
		begin := time.Now()
		c.apply(&fsm.EndClaim{Agent: claimed.Name}, end)
		for range 4 {
			if n := keep(); n != 1 {
				t.Fatalf("%d ended holds are told", n)
			}
			time.Sleep(200 * time.Millisecond)
		}
		for range 5 {
			keep()
			time.Sleep(200 * time.Millisecond)
		}
		within(t, c.ends(begin), time.Second)
		if s := c.nth(0).(*fsm.Succeed); s.Token != 7 || s.Term != 5 || s.Resource != claimed {
			t.Errorf("%+v", s)
		}
	})
}

// An end that leaves something is repeated until nothing is left.
func TestManager_EndsInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		c.open(l1, time.Second)
		c.set(func() { c.more = true })
		time.Sleep(3 * time.Second)
		if n := len(c.ends(time.Now())); n != 2 {
			t.Errorf("%d proposals", n)
		}
	})
}

// Who follows the agent further is ranked before who waits longer, and after
// whom the priority puts first; who does better is ranked between those.
func TestManager_Ranking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.lead(5)
		first, second, third := hawser.LeaseID{11}, hawser.LeaseID{12}, hawser.LeaseID{13}
		waiters := []hawser.Waiter{{Lease: first, Priority: 1}, {Lease: second}, {Lease: third}}
		c.set(func() { c.waiters = waiters })
		for _, w := range waiters {
			c.open(w.Lease, time.Minute)
		}
		if got := c.m.Ranking(claimed); got != nil {
			t.Errorf("ranked %v though nobody follows", got)
		}
		followed := []Followed{{Lease: third, Agent: claimed.Name, Version: 9}, {Lease: second, Agent: claimed.Name, Version: 8}}
		if _, err := c.m.Renew(t.Context(), nil, followed); err != nil {
			t.Fatal(err)
		}
		c.open(l1, time.Second)
		time.Sleep(2 * time.Second)
		want := []hawser.LeaseID{first, third, second}
		if got := c.nth(0).(*fsm.EndLease).Rankings; len(got) != 1 || !slices.Equal(got[0].Candidates, want) {
			t.Errorf("ranked %+v, expected %v", got, want)
		}
		fourth := hawser.LeaseID{14}
		c.set(func() {
			c.waiters = []hawser.Waiter{{Lease: first, Priority: 1}, {Lease: second}, {Lease: third}, {Lease: fourth}}
			c.health = map[hawser.LeaseID]hawser.HealthState{
				first: hawser.HealthUnhealthy, second: hawser.HealthHealthy, third: hawser.HealthDegrading, // the fourth says nothing
			}
		})
		if got, want := c.m.Ranking(claimed), []hawser.LeaseID{first, second, fourth, third}; !slices.Equal(got, want) {
			t.Errorf("ranked %v by health, expected %v", got, want)
		}
	})
}
