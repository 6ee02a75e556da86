// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"fmt"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: an agent that saves all the time costs one task in each delay, with
// all that came meanwhile, and nobody waits longer than the delay.
func TestAgenda(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	a := newAgenda(20 * time.Second)
	tasks := 0
	for second := range 100 {
		now := start.Add(time.Duration(second) * time.Second)
		a.note(agentID("busy"), uint64(second), now)
		if second == 50 {
			a.note(agentID("once"), 7, now)
		}
		for {
			next, ok := a.next(now)
			if !ok {
				break
			}
			if late := now.Sub(next.due); late != 0 {
				t.Errorf("%v is %s late", next, late)
			}
			if next.agent == agentID("once") {
				if second != 70 || next.from != 7 || next.to != 7 {
					t.Errorf("after %d s: %+v", second, next)
				}
				continue
			}
			if tasks++; next.to != uint64(second) || next.to-next.from != 20 {
				t.Errorf("after %d s: %+v", second, next)
			}
		}
	}
	if tasks != 4 {
		t.Errorf("%d tasks in 100 s", tasks)
	}
	if waiting, behind := a.waiting(start.Add(time.Hour)); waiting != 1 || behind < 50*time.Minute {
		t.Errorf("%d wait, behind by %s", waiting, behind)
	}
}

// Claim: beyond its bound the agenda notes only that it missed something.
func TestAgenda_Bound(t *testing.T) {
	a := newAgenda(0)
	now := time.Now()
	for i := range maxAgenda {
		a.note(agentID(fmt.Sprint(i)), 1, now)
	}
	if a.takeMissed() || a.room() != 0 {
		t.Fatal("full too early")
	}
	a.note(agentID("one more"), 1, now)
	a.note(agentID("0"), 2, now)
	if !a.takeMissed() || a.takeMissed() {
		t.Error("what is missed is said once")
	}
	for range maxAgenda {
		if _, ok := a.next(now); !ok {
			t.Fatal("a task is lost")
		}
	}
	if _, ok := a.next(now); ok || a.room() != maxAgenda {
		t.Error("not empty")
	}
}

// Claim: a suspect is asked for again after a time that doubles, until it is
// settled, and counted once.
func TestSuspects(t *testing.T) {
	var s suspects
	now := time.Now()
	version := hawser.VersionRef{Agent: agentID("a"), Number: 3}
	if !s.add(version, now) || s.add(version, now) {
		t.Error("not added, or added twice")
	}
	var asked []time.Duration
	for at := now; at.Before(now.Add(5 * time.Minute)); at = at.Add(time.Second) {
		if _, ok := s.next(at); ok {
			asked = append(asked, at.Sub(now))
		}
	}
	if want := "[0s 2s 6s 14s 30s 1m2s 2m2s 3m2s 4m2s]"; fmt.Sprint(asked) != want {
		t.Errorf("asked after %v, want %s", asked, want)
	}
	if s.repaired(version) != 1 || s.repaired(version) != 2 {
		t.Error("repairs are not counted")
	}
	s.settle(version)
	if _, ok := s.next(now.Add(time.Hour)); ok || s.len() != 0 {
		t.Error("settled and still there")
	}
	for i := range maxSuspects + 1 {
		version.Number = uint64(i)
		if s.add(version, now) != (i < maxSuspects) {
			t.Fatalf("suspect %d", i)
		}
	}
}

func TestJudge(t *testing.T) {
	sums := func(crc uint32) []fsm.Sum { return []fsm.Sum{{Segment: 1, Position: 2, Bytes: 3, CRC32C: crc}} }
	live := func(crc uint32, verified bool) Report {
		return Report{SHA256: hawser.Hash{9}, State: hawser.VersionLive, Sums: sums(crc), Verified: verified}
	}
	foreign := Report{SHA256: hawser.Hash{8}, State: hawser.VersionLive, Sums: sums(1), Verified: true}
	marked := live(1, false)
	marked.State = hawser.VersionBad
	for name, c := range map[string]struct {
		others []Report
		voters int
		stands bool // the node is no voter
		want   verdict
		node   string
	}{
		"alone":                                {nil, 1, false, bad, ""},
		"nobody answers":                       {nil, 3, false, undecided, ""},
		"one alike, one silent":                {[]Report{live(1, false)}, 3, false, bad, ""},
		"both alike":                           {[]Report{live(1, false), live(1, false)}, 3, false, bad, ""},
		"one other, fails too":                 {[]Report{live(2, false)}, 3, false, undecided, ""},
		"all differ":                           {[]Report{live(2, false), live(3, false)}, 3, false, undecided, ""},
		"majority differs, fails alike":        {[]Report{live(2, false), live(2, false)}, 3, false, bad, ""},
		"one verifies":                         {[]Report{live(1, false), live(2, true)}, 3, false, altered, "1"},
		"one verifies, one is silent":          {[]Report{live(2, true)}, 3, false, altered, "0"},
		"five, two alike are too few":          {[]Report{live(1, false), live(2, false)}, 5, false, undecided, ""},
		"five, three alike":                    {[]Report{live(1, false), live(1, false)}, 5, false, bad, ""},
		"a standby does not count itself":      {[]Report{live(1, false)}, 3, true, undecided, ""},
		"a standby, two voters alike":          {[]Report{live(1, false), live(1, false)}, 3, true, bad, ""},
		"another hash at one":                  {[]Report{foreign}, 3, false, undecided, ""},
		"another hash at the majority":         {[]Report{foreign, foreign}, 3, false, broken, ""},
		"already marked there, not heard here": {[]Report{marked, marked}, 3, false, undecided, ""},
	} {
		others := map[string]Report{}
		for i, r := range c.others {
			others[fmt.Sprint(i)] = r
		}
		if got, node := judge(live(1, false), others, c.voters, !c.stands); got != c.want || node != c.node {
			t.Errorf("%s: %d at %q, want %d at %q", name, got, node, c.want, c.node)
		}
	}
}

// Claim: the share of a core that verification takes is a tenth, a third when
// it is behind, of the time in which it did not wait for others; and its rate in
// bytes is bounded however fast the disk is.
func TestRest(t *testing.T) {
	for _, c := range []struct {
		took  time.Duration
		done  work
		share int
		want  time.Duration
	}{
		{10 * time.Millisecond, work{bytes: 1000}, headShare(0), 90 * time.Millisecond},
		{10 * time.Millisecond, work{bytes: 1000}, headShare(time.Minute), 20 * time.Millisecond},
		{time.Millisecond, work{bytes: maxRate}, headShare(time.Minute), 999 * time.Millisecond},
		{time.Minute, work{waited: time.Minute - time.Second}, headShare(0), 9 * time.Second},
		{0, work{}, 9, time.Millisecond},
	} {
		if got := rest(c.took, c.done, c.share); got != c.want {
			t.Errorf("after %s and %+v: %s, want %s", c.took, c.done, got, c.want)
		}
	}
}
