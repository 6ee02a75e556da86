// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: the node is ready only by the LeaderStart of its own process and term,
// applied with success while raft still leads in that term.
func TestProposer_ReadyOnlyByItsOwnLeaderStart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig, *fsm.Applied)
		ready  uint64
	}{
		"its own":                  {func(*rig, *fsm.Applied) {}, 7},
		"of another process":       {func(_ *rig, a *fsm.Applied) { a.ID[0]++ }, 0},
		"in another term":          {func(_ *rig, a *fsm.Applied) { a.Term = 8 }, 0},
		"refused":                  {func(_ *rig, a *fsm.Applied) { a.Results[0].Err = hawser.ErrRefused }, 0},
		"skipped":                  {func(_ *rig, a *fsm.Applied) { a.Results = nil }, 0},
		"raft's term moved on":     {func(r *rig, _ *fsm.Applied) { r.setRaft(8, true) }, 0},
		"raft does not lead":       {func(r *rig, _ *fsm.Applied) { r.setRaft(7, false) }, 0},
		"leadership lost":          {func(r *rig, _ *fsm.Applied) { r.depose() }, 0},
		"leads in a later term":    {func(r *rig, _ *fsm.Applied) { r.setRaft(9, true); r.OnLeadership(Leadership{9, true}) }, 0},
		"told of leadership again": {func(r *rig, _ *fsm.Applied) { r.OnLeadership(Leadership{7, true}) }, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				defer r.Close()
				r.setRaft(7, true)
				r.OnLeadership(Leadership{7, true})
				synctest.Wait()
				log := r.entries()
				start, ok := log[0].batch.Commands[0].(*fsm.LeaderStart)
				if len(log) != 1 || !ok || start.Term != 7 || start.Node != "a" || start.ClusterID != [16]byte{1} || start.Generation != 1 {
					t.Fatalf("a new leader proposes %v %+v", log, start)
				}
				if r.ReadyTerm() != 0 {
					t.Fatal("ready before LeaderStart was applied")
				}
				a := r.applied(0, log[0])
				c.change(r, &a)
				r.OnApplied([]fsm.Applied{a})
				if got := r.ReadyTerm(); got != c.ready {
					t.Errorf("ready term %d, want %d", got, c.ready)
				}
			})
		})
	}
}

// Claim: when leadership is lost the ready term is gone before any waiter hears
// of it; what was handed over is unknown, what was not is not executed; entries
// applied later, or twice, reach nobody.
func TestProposer_LosesLeadership(t *testing.T) {
	for name, lose := range map[string]func(*rig){
		"told":                (*rig).depose,
		"by a new term only":  func(r *rig) { r.setRaft(4, true); r.OnLeadership(Leadership{4, true}) },
		"told, then regained": func(r *rig) { r.depose(); r.setRaft(4, true); r.OnLeadership(Leadership{4, true}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
				defer r.Close()
				r.lead(2)
				handed := r.submit(t.Context(), save(1, 10))
				queued := r.submit(t.Context(), save(2, 10))
				lose(r)
				synctest.Wait()
				handed.want(t, hawser.CodeOutcomeUnknown)
				queued.want(t, hawser.CodeNotLeader)
				if handed.ready != 0 || queued.ready != 0 {
					t.Error("a waiter heard of the loss while the node still seemed ready")
				}
				r.apply(1)
				r.apply(1)
				for _, e := range r.entries() {
					for _, c := range e.batch.Commands {
						if number(c) == 2 {
							t.Error("a command reported as not executed reached raft")
						}
					}
				}
				r.lead(6)
				again := r.submit(t.Context(), save(3, 10))
				r.apply(len(r.entries()) - 1)
				synctest.Wait()
				again.want(t, hawser.CodeOK)
				if again.result.Number != 3 {
					t.Errorf("result %d, want 3", again.result.Number)
				}
			})
		})
	}
}

// Claim: leadership lost between taking commands from the queue and handing
// them over: the callers hear unknown and the entry is dropped, also if the
// node leads again, in another term, by the time it would be handed over.
func TestProposer_LosesLeadershipBeforeHandOver(t *testing.T) {
	for name, regain := range map[string]bool{"lost": false, "lost and regained": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var between func() // called while the entry is stamped
				r := newRig(t, func(c *Config) {
					c.Clock = NewClock(ClockConfig{Self: "a", Voters: func() []string {
						if f := between; f != nil {
							between = nil
							f()
						}
						return []string{"a"}
					}})
				})
				defer r.Close()
				r.lead(2)
				between = func() {
					r.depose()
					if regain {
						r.setRaft(4, true)
						r.OnLeadership(Leadership{4, true})
					}
				}
				r.submit(t.Context(), save(1, 10)).want(t, hawser.CodeOutcomeUnknown)
				for _, e := range r.entries() {
					if number(e.batch.Commands[0]) == 1 {
						t.Errorf("the dropped entry reached raft: %v", e)
					}
				}
			})
		})
	}
}

// Claim: raft lost its leadership and has not told yet: a command that waits is
// not handed over, and its caller hears that it was not executed.
func TestProposer_AsksRaftBeforeHandOver(t *testing.T) {
	for name, c := range map[string]struct {
		term  uint64
		leads bool
	}{"follower": {2, false}, "follower of a later term": {3, false}, "leader of a later term": {4, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				defer r.Close()
				r.lead(2)
				r.setRaft(c.term, c.leads)
				r.submit(t.Context(), save(1, 10)).want(t, hawser.CodeNotLeader)
				if got := len(r.entries()); got != 1 {
					t.Errorf("%d entries, want LeaderStart only", got)
				}
			})
		})
	}
}

// Claim: an entry may be applied before Propose returns.
func TestProposer_AppliedBeforeProposeReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.Close()
		r.took = func(index int, _ entry) { r.apply(index) }
		r.setRaft(1, true)
		r.OnLeadership(Leadership{1, true})
		synctest.Wait()
		for n := range 10 {
			w := r.submit(t.Context(), save(n, 10))
			w.want(t, hawser.CodeOK)
			if w.result.Number != uint64(n) {
				t.Errorf("result %d, want %d", w.result.Number, n)
			}
		}
	})
}

// Claim: a LeaderStart that raft refuses or drops without a word is proposed
// again, under the same id, until it is applied, and not after.
func TestProposer_RepeatsLeaderStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.Close()
		refusals := 3
		r.refuse = func(fsm.Batch) error {
			if refusals--; refusals >= 0 {
				return errors.New("timed out enqueuing operation")
			}
			return nil
		}
		r.setRaft(5, true)
		r.OnLeadership(Leadership{5, true})
		time.Sleep(3*startPause + 2*startTimeout) // three refusals, the entry, two repeats
		synctest.Wait()
		log := r.entries()
		if len(log) != 3 || log[0].batch.ID != log[2].batch.ID {
			t.Fatalf("entries %v, want three of one id", log)
		}
		r.apply(2)
		if r.ReadyTerm() != 5 {
			t.Fatalf("ready term %d, want 5", r.ReadyTerm())
		}
		r.apply(0)
		time.Sleep(10 * startTimeout)
		if got := len(r.entries()); got != 3 {
			t.Errorf("%d entries after the node became ready, want 3", got)
		}
	})
}

// Claim: OnLeadership ahead of what raft says of itself makes no entry until
// both agree, and then one.
func TestProposer_LeaderStartWaitsForRaft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.Close()
		r.setRaft(4, true)
		r.OnLeadership(Leadership{5, true})
		time.Sleep(time.Second)
		if got := len(r.entries()); got != 0 {
			t.Fatalf("%d entries in a term that raft is not in", got)
		}
		r.setRaft(5, true)
		time.Sleep(2 * startPause)
		synctest.Wait()
		r.apply(0)
		if r.ReadyTerm() != 5 {
			t.Errorf("ready term %d, want 5", r.ReadyTerm())
		}
	})
}

// Claim: a new leader learns the voters' clocks before its first entry. If it
// cannot it goes on after a few attempts, but never where machine time would
// begin at 1970.
func TestProposer_SamplesClocksBeforeLeaderStart(t *testing.T) {
	for name, c := range map[string]struct {
		machine  int64
		failures int32
		attempts int32
		starts   bool
	}{
		"answered":                  {1, 0, 1, true},
		"answered at the third":     {0, 2, 3, true},
		"never, machine time known": {1, 1000, maxSamples, true},
		"never, no machine time":    {0, 1000, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				r := newRig(t, func(cfg *Config) {
					cfg.Sample = func(ctx context.Context, term uint64) error {
						if term != 3 {
							t.Errorf("asked in term %d", term)
						}
						if asked.Add(1) <= c.failures {
							<-ctx.Done()
							return ctx.Err()
						}
						return nil
					}
				})
				defer r.Close()
				r.time.Store(c.machine)
				r.setRaft(3, true)
				r.OnLeadership(Leadership{3, true})
				time.Sleep(20*(sampleTimeout+startPause) - time.Millisecond)
				synctest.Wait()
				if got := len(r.entries()) > 0; got != c.starts {
					t.Errorf("started: %v, want %v", got, c.starts)
				}
				// Unapplied, LeaderStart is repeated with a new look at the clocks.
				if got := asked.Load(); got < c.attempts || !c.starts && got != c.attempts {
					t.Errorf("asked %d times, want %d", got, c.attempts)
				}
			})
		})
	}
}

// Claim: the LeaderStart carries the step to the voters' median; later entries
// go on from what the machine has reached, with the monotonic clock.
func TestProposer_Stamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.Close()
		began := time.Now().UnixNano()
		r.setRaft(1, true)
		r.OnLeadership(Leadership{1, true})
		synctest.Wait()
		if got := r.entries()[0].batch.Time; got != began {
			t.Errorf("LeaderStart at %d, want the wall clock %d", got, began)
		}
		ahead := began + int64(time.Hour)
		r.time.Store(ahead) // the predecessor's last entries, not known before
		r.apply(0)
		r.submit(t.Context(), save(1, 10))
		time.Sleep(time.Second)
		r.submit(t.Context(), save(2, 10))
		log := r.entries()
		if log[1].batch.Time != ahead {
			t.Errorf("first stamp %d, want what the machine had reached, %d", log[1].batch.Time, ahead)
		}
		if got := time.Duration(log[2].batch.Time - ahead); got != 900*time.Millisecond {
			t.Errorf("a second later machine time moved by %v, want 900ms: it is ahead of the only clock", got)
		}
	})
}

// Claim: Pause refuses what is new, waits for what is under way and queued, and
// as many calls of Resume end it; a caller of Pause that leaves leaves it paused.
func TestProposer_Pause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
		defer r.Close()
		r.lead(1)
		handed := r.submit(t.Context(), save(1, 10))
		queued := r.submit(t.Context(), save(2, 10))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Pause(short); !errors.Is(err, hawser.ErrDeadline) {
			t.Fatalf("Pause with work under way: %v", err)
		}
		paused := make(chan error, 1)
		go func() { paused <- r.Pause(t.Context()) }()
		synctest.Wait()
		r.submit(t.Context(), save(3, 10)).want(t, hawser.CodeUnavailable)
		r.apply(1)
		synctest.Wait()
		if len(paused) != 0 {
			t.Fatal("Pause returned while a command was under way")
		}
		r.apply(2)
		synctest.Wait()
		if len(paused) != 1 || <-paused != nil {
			t.Fatal("Pause did not return when nothing was left")
		}
		handed.want(t, hawser.CodeOK)
		queued.want(t, hawser.CodeOK)
		if err := r.Pause(t.Context()); err != nil {
			t.Errorf("a third Pause: %v", err)
		}
		r.Resume()
		r.Resume()
		r.submit(t.Context(), save(5, 10)).want(t, hawser.CodeUnavailable) // two transfers overlap: the other goes on
		r.Resume()
		after := r.submit(t.Context(), save(4, 10))
		r.apply(3)
		synctest.Wait()
		after.want(t, hawser.CodeOK)
	})
}
