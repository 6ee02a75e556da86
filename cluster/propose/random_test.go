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

// caller submits commands from first on, every width-th, and checks how each ends.
func (s *storm) caller(t *testing.T, first, width, count int) {
	for n := first; n < width*count; n += width {
		ctx, cancel := context.WithTimeout(t.Context(), s.upTo(100*time.Millisecond)+time.Millisecond)
		result, err := s.Submit(ctx, save(n, 1+n%3000))
		cancel()
		s.mu.Lock()
		applied, taken := s.applied[n], s.taken[n]
		s.mu.Unlock()
		switch code := hawser.CodeOf(err); {
		case err == nil && (!applied || result.Number != uint64(n)):
			t.Errorf("command %d: success with result %d, executed: %v", n, result.Number, applied)
		case err != nil && code != hawser.CodeOutcomeUnknown && taken:
			t.Errorf("command %d: %v, but raft took it", n, err)
		}
		time.Sleep(s.upTo(5 * time.Millisecond))
	}
}

// Claim: whatever raft, elections and callers do, every Submit returns; success
// means executed, with the command's own result; every other error than unknown
// means that raft never got it. Nothing is left behind afterwards.
func TestProposer_RandomSchedules(t *testing.T) {
	const callers, count = 12, 15
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &storm{rand: rand.New(rand.NewPCG(uint64(seed), 1)), applied: make(map[int]bool), taken: make(map[int]bool)}
				s.rig = newRig(t, func(c *Config) { c.MaxBatchBytes, c.MaxQueue, c.MaxInFlight = 8192, 10, 3 })
				s.refuse = s.accept
				stop := make(chan struct{})
				var world, all sync.WaitGroup
				every := func(d time.Duration, f func()) {
					world.Go(func() {
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
				for first := range callers {
					all.Go(func() { s.caller(t, first, callers, count) })
				}
				all.Wait()
				close(stop)
				world.Wait()
				s.Close()
				if st := s.Stats(); st.Queued != 0 || st.QueuedBytes != 0 || st.InFlight != 0 {
					t.Errorf("left behind: %+v", st)
				}
			})
		})
	}
}
