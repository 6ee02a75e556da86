// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// storm moves a rig's raft at random: elections that the Proposer hears of
// late or not at all, refusals, entries lost with their term, applied late,
// applied twice.
type storm struct {
	*rig
	mu      sync.Mutex
	rand    *rand.Rand
	applied map[int]bool // commands that the machine executed
	taken   map[int]bool // commands that raft took
	next    int          // first entry of the log that is not applied
	ends    map[hawser.Code]int
}

func (s *storm) chance(percent int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(100) < percent
}

func (s *storm) upTo(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.rand.Int64N(int64(d)))
}

// accept is what raft says to an entry; it may take its time.
func (s *storm) accept(b fsm.Batch) error {
	if s.chance(30) {
		time.Sleep(s.upTo(20 * time.Millisecond))
	}
	if s.chance(5) {
		return errors.New("timed out enqueuing operation")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.IsLeader() { // else refused by the rig
		for _, c := range b.Commands {
			s.taken[number(c)] = true
		}
	}
	return nil
}

// applyNext applies some of the log, or loses its tail as a new leader does.
func (s *storm) applyNext() {
	log := s.entries()
	for s.next < len(log) && !s.chance(10) {
		index := s.next
		s.next++
		if log[index].term < s.Term() && s.chance(50) {
			continue // lost with its term
		}
		s.mu.Lock()
		for _, c := range log[index].batch.Commands {
			s.applied[number(c)] = true
		}
		s.mu.Unlock()
		s.apply(index)
		if s.chance(5) {
			s.apply(index)
		}
	}
}

// elect changes raft's state and tells the Proposer, mostly.
func (s *storm) elect() {
	leads := s.chance(70)
	s.setRaft(s.Term()+1, leads)
	time.Sleep(s.upTo(10 * time.Millisecond))
	if term := s.Term(); leads {
		s.OnLeadership(Leadership{Term: term, Leader: true})
	} else {
		s.OnLeadership(Leadership{})
	}
}

// caller submits one command after another until stop and checks how each ends.
func (s *storm) caller(t *testing.T, caller int, stop <-chan struct{}) {
	t.Helper()
	for n := caller * 1_000_000; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(s.upTo(5 * time.Millisecond)):
		}
		ctx, cancel := context.WithTimeout(t.Context(), s.upTo(100*time.Millisecond)+time.Millisecond)
		var command fsm.Command = save(n, 1+n%3000)
		if caller%3 == 0 {
			command = part(n, 9000)
		}
		result, err := s.Submit(ctx, command)
		cancel()
		s.mu.Lock()
		applied, taken := s.applied[n], s.taken[n]
		s.ends[hawser.CodeOf(err)]++
		s.mu.Unlock()
		switch code := hawser.CodeOf(err); {
		case err == nil && (!applied || result.Number != uint64(n)):
			t.Errorf("command %d: success with result %d, executed: %v", n, result.Number, applied)
		case err != nil && code != hawser.CodeOutcomeUnknown && taken:
			t.Errorf("command %d: %v, but raft took it", n, err)
		}
	}
}

// checkIDs checks that no two batches share an id, but the LeaderStarts of a term.
func (s *storm) checkIDs(t *testing.T) {
	t.Helper()
	seen := make(map[fsm.BatchID]uint64)
	for _, e := range s.entries() {
		start, ok := e.batch.Commands[0].(*fsm.LeaderStart)
		term, known := seen[e.batch.ID]
		if known && (!ok || start.Term != term) {
			t.Errorf("id %x is used twice", e.batch.ID)
		}
		seen[e.batch.ID] = 0
		if ok {
			seen[e.batch.ID] = start.Term
		}
	}
}

// Claim: whatever raft, elections and callers do, every Submit returns; success
// means executed, with the command's own result; every other error than unknown
// means that raft never got it. Nothing is left behind afterwards.
func TestProposer_RandomSchedules(t *testing.T) {
	seeds := 8
	if testing.Short() {
		seeds = 4
	}
	ends := make(map[hawser.Code]int)
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &storm{rand: rand.New(rand.NewPCG(uint64(seed), 1)), applied: make(map[int]bool), taken: make(map[int]bool), ends: ends}
				s.rig = newRig(t, func(c *Config) { c.MaxBatchBytes, c.MaxQueue, c.MaxInFlight, c.MaxBulk = 8192, 10, 3, 4 })
				s.refuse = s.accept
				s.rage(t, time.Second)
				s.Close()
				s.checkIDs(t)
				if st := s.Stats(); st.Queued != 0 || st.QueuedBytes != 0 || st.InFlight != 0 {
					t.Errorf("left behind: %+v", st)
				}
			})
		})
	}
	t.Logf("ends: %v", ends)
	for _, code := range []hawser.Code{
		hawser.CodeOK, hawser.CodeOutcomeUnknown, hawser.CodeNotLeader, hawser.CodeUnavailable, hawser.CodeOverloaded, hawser.CodeDeadline,
	} {
		if ends[code] < 10*seeds {
			t.Errorf("only %d submits ended with %v: the schedules prove little", ends[code], code)
		}
	}
}

// rage lets the storm and the callers run for d.
func (s *storm) rage(t *testing.T, d time.Duration) {
	t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	every := func(d time.Duration, f func()) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(s.upTo(d)):
					f()
				}
			}
		})
	}
	every(4*time.Millisecond, s.applyNext)
	every(200*time.Millisecond, s.elect)
	for caller := range 20 {
		all.Go(func() { s.caller(t, caller, stop) })
	}
	time.Sleep(d)
	close(stop)
	all.Wait()
}
