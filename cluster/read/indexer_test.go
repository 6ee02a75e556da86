// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

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
)

// Claim: a round needs the exact ready term from a majority of the voters, the
// own node included only if it votes. Any higher term ends leadership.
func TestIndexer_MajorityRules(t *testing.T) {
	const ok, down, behind, ahead, other = 5, 0, 4, 6, 99
	for _, c := range []struct {
		self  bool // the own node votes
		terms []uint64
		want  hawser.Code
	}{
		{true, nil, hawser.CodeOK},
		{true, []uint64{ok}, hawser.CodeOK},
		{true, []uint64{down}, hawser.CodeUnavailable},
		{true, []uint64{ok, ok}, hawser.CodeOK},
		{true, []uint64{ok, down}, hawser.CodeOK},
		{true, []uint64{down, ok}, hawser.CodeOK},
		{true, []uint64{behind, ok}, hawser.CodeOK},
		{true, []uint64{down, down}, hawser.CodeUnavailable},
		{true, []uint64{behind, behind}, hawser.CodeUnavailable},
		{true, []uint64{behind, down}, hawser.CodeUnavailable},
		{true, []uint64{other, down}, hawser.CodeUnavailable},
		{true, []uint64{ahead, down}, hawser.CodeNotLeader},
		{true, []uint64{ahead, behind}, hawser.CodeNotLeader},
		{true, []uint64{ok, ok, down, down}, hawser.CodeOK},
		{true, []uint64{ok, down, behind, down}, hawser.CodeUnavailable},
		{true, []uint64{ok, ahead, down, behind}, hawser.CodeNotLeader},
		{true, []uint64{ok, ok, down}, hawser.CodeOK},
		{true, []uint64{ok, down, down}, hawser.CodeUnavailable},
		{false, []uint64{ok, ok, down}, hawser.CodeOK},
		{false, []uint64{ok, down, down}, hawser.CodeUnavailable},
		{false, nil, hawser.CodeUnavailable},
	} {
		t.Run(fmt.Sprint(c.self, c.terms), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var voters []string
				if c.self {
					voters = append(voters, "a")
				}
				for i := range c.terms {
					voters = append(voters, string(rune('b'+i)))
				}
				x := newCluster(t, voters...)
				defer x.Close()
				for i, term := range c.terms {
					x.change(string(rune('b'+i)), func(n *node) {
						switch n.term = term; term {
						case down:
							n.err = errDown
						case other:
							n.term, n.name = 5, "z"
						}
					})
				}
				r := x.read(t.Context(), x.LeaderIndex)
				r.want(t, c.want)
				if r.err == nil && r.index != 100 {
					t.Errorf("index %d, want 100", r.index)
				}
				if r.took > 2*time.Millisecond {
					t.Errorf("took %v, want one round trip of 1 ms", r.took)
				}
			})
		})
	}
}

// Claim: who arrives while a round runs is not served by it but by the next;
// all who wait are served by one, with the commit index of its beginning.
func TestIndexer_LateCallersWaitForTheNextRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.delay = 10 * time.Millisecond })
		}
		first := x.read(t.Context(), x.LeaderIndex)
		time.Sleep(5 * time.Millisecond)
		x.set(&x.commit, 200)
		var late []*reader
		for range 50 {
			late = append(late, x.read(t.Context(), x.LeaderIndex))
		}
		time.Sleep(6 * time.Millisecond) // the first round has ended, the next runs
		synctest.Wait()
		first.want(t, hawser.CodeOK)
		if first.index != 100 {
			t.Errorf("first index %d, want that of before the round, 100", first.index)
		}
		x.set(&x.commit, 300)
		for _, r := range late {
			r.waits(t)
		}
		for _, r := range late {
			r.want(t, hawser.CodeOK)
			if r.index != 200 {
				t.Fatalf("late caller's index %d, want 200", r.index)
			}
		}
		for _, v := range []string{"b", "c"} {
			if all, _ := x.asked(v); all != 2 {
				t.Errorf("%s was asked %d times, want twice", v, all)
			}
		}
	})
}

// Claim: not ready, or raft in another term than the ready one before or after
// the questions, is never served.
func TestIndexer_OnlyInTheReadyTerm(t *testing.T) {
	for name, change := range map[string]func(*cluster){
		"not ready":         func(c *cluster) { c.ready = 0 },
		"term moved on":     func(c *cluster) { c.term = 6 },
		"ready, older term": func(c *cluster) { c.ready = 4 },
	} {
		for _, when := range []string{"before", "during"} {
			if when == "during" && name != "term moved on" {
				continue
			}
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					x := newCluster(t, "a", "b", "c")
					defer x.Close()
					locked := func() {
						x.mu.Lock()
						defer x.mu.Unlock()
						change(x)
					}
					if when == "before" {
						locked()
					}
					r := x.read(t.Context(), x.LeaderIndex)
					if when == "during" {
						locked()
					}
					r.want(t, hawser.CodeNotLeader)
				})
			})
		}
	}
}

// Claim: the hole of raft's VerifyLeader is closed. A leader that is cut off,
// with answers on the way that voters gave before they elected another leader,
// does not serve a read that begins after that leader committed: answers to
// older questions do not count.
func TestIndexer_AnswersToOlderQuestionsProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.back = 300 * time.Millisecond }) // the answer is held
		}
		early := x.read(t.Context(), x.LeaderIndex)
		time.Sleep(10 * time.Millisecond) // both have looked at their term, 5
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.term, n.back = 6, 0 }) // they elect another, which commits a write
		}
		late := x.read(t.Context(), x.LeaderIndex)
		early.want(t, hawser.CodeOK) // began before the write: may be served
		late.want(t, hawser.CodeNotLeader)
	})
}

// Claim: the same, with the round of the held questions given up before: the
// next round does not take their answers, however they arrive.
func TestIndexer_AnswersOfAnEndedRoundDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		x.change("b", func(n *node) { n.back = 300 * time.Millisecond })
		x.change("c", func(n *node) { n.delay = 10 * time.Millisecond })
		x.read(t.Context(), x.LeaderIndex).want(t, hawser.CodeOK) // by c; b's answer is on its way
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.term, n.back = 6, 0 })
		}
		x.change("c", func(n *node) { n.err = errDown })
		late := x.read(t.Context(), x.LeaderIndex)
		late.want(t, hawser.CodeNotLeader) // b was asked anew
		if all, _ := x.asked("b"); all != 2 {
			t.Errorf("b was asked %d times, want 2", all)
		}
	})
}

// Claim: whatever delays, elections and failures do, a LeaderIndex that returns
// covers every write that was committed before it began; a newer leader's
// writes are never missed.
func TestIndexer_RandomSchedulesNeverStale(t *testing.T) {
	served := 0
	for seed := range 200 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 2))
				voters := []string{"a", "b", "c", "d", "e"}[:3+2*(seed%2)]
				x := newCluster(t, voters...)
				defer x.Close()
				var committed uint64 = 100 // guarded by x.mu
				shake := func() {
					for _, v := range voters[1:] {
						n := x.nodes[v]
						n.delay = time.Duration(random.IntN(40)) * time.Millisecond
						n.back = time.Duration(random.IntN(200)) * time.Millisecond
						n.err = nil
						if random.IntN(5) == 0 {
							n.err = errDown
						}
					}
				}
				var readers sync.WaitGroup
				for step := range 40 {
					x.mu.Lock()
					shake()
					switch {
					case step < 20: // the node leads and commits
						committed++
						x.commit = committed
					case step == 20: // cut off: a majority elects another, which commits
						for _, i := range random.Perm(len(voters) - 1)[:len(voters)/2+1] {
							x.nodes[voters[i+1]].term = 6
						}
						committed++
					default:
						committed++
					}
					x.mu.Unlock()
					readers.Go(func() {
						before := x.get(&committed)
						index, err := x.LeaderIndex(t.Context())
						if err == nil && index < before {
							t.Errorf("step %d: index %d, but %d was committed before", step, index, before)
						}
						if err == nil {
							x.mu.Lock()
							served++
							x.mu.Unlock()
						}
					})
					time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
				}
				readers.Wait()
			})
		})
	}
	if served < 1000 {
		t.Errorf("only %d reads were served: the schedules prove little", served)
	}
}

// Claim: a slow voter does not delay a majority, is asked one question at a
// time, and its late answers reach OnAnswer.
func TestIndexer_SlowVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		x.change("c", func(n *node) { n.delay = 400 * time.Millisecond })
		for range 100 {
			r := x.read(t.Context(), x.LeaderIndex)
			r.want(t, hawser.CodeOK)
			if r.took > 2*time.Millisecond {
				t.Fatalf("took %v", r.took)
			}
			if _, open := x.asked("c"); open > 1 {
				t.Fatalf("%d questions open to one voter", open)
			}
		}
		time.Sleep(400 * time.Millisecond)
		if got := x.answers("c"); got != 1 {
			t.Errorf("%d answers of the slow voter, want 1", got)
		}
	})
}

// Claim: without a majority in time a round ends after RoundTimeout, and a
// caller's own end comes first.
func TestIndexer_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.delay = time.Hour })
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		leaves := x.read(short, x.LeaderIndex)
		stays := x.read(t.Context(), x.LeaderIndex)
		leaves.want(t, hawser.CodeDeadline)
		if !errors.Is(leaves.err, context.DeadlineExceeded) || leaves.took != 100*time.Millisecond {
			t.Errorf("%v after %v", leaves.err, leaves.took)
		}
		stays.want(t, hawser.CodeUnavailable)
		if stays.took > 2*DefaultRoundTimeout {
			t.Errorf("a caller waited %v, want two rounds at most", stays.took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		x.read(ended, x.LeaderIndex).want(t, hawser.CodeCanceled)
	})
}

// Claim: a single voter asks nobody.
func TestIndexer_SingleVoterAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a")
		defer x.Close()
		r := x.read(t.Context(), x.LeaderIndex)
		r.want(t, hawser.CodeOK)
		if all, _ := x.asked("a"); r.took != 0 || all != 0 {
			t.Errorf("took %v, asked itself %d times", r.took, all)
		}
	})
}

// Claim: a leader asks every voter each second without readers; another node
// asks nobody.
func TestIndexer_Tick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		x.set(&x.ready, 0)
		time.Sleep(10 * time.Second)
		if b, c := x.answers("b"), x.answers("c"); b != 10 || c != 10 {
			t.Errorf("%d and %d answers, want 10 of each", b, c)
		}
	})
}

// Claim: the voters are those of the latest configuration at each round.
func TestIndexer_FollowsTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c", "d", "e")
		defer x.Close()
		for _, v := range []string{"d", "e", "c"} {
			x.change(v, func(n *node) { n.err = errDown })
		}
		x.read(t.Context(), x.LeaderIndex).want(t, hawser.CodeUnavailable)
		x.mu.Lock()
		x.voters = []string{"a", "b", "c"}
		x.mu.Unlock()
		x.read(t.Context(), x.LeaderIndex).want(t, hawser.CodeOK)
	})
}

// Claim: Sample returns with a majority of answers whatever their terms, before
// the node is ready, and fails without one.
func TestIndexer_Sample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		x.set(&x.ready, 0)
		x.change("b", func(n *node) { n.term = 2 })
		x.change("c", func(n *node) { n.err = errDown })
		if err := x.Sample(t.Context(), 5); err != nil || x.answers("b") != 1 {
			t.Errorf("Sample: %v, %d answers of b", err, x.answers("b"))
		}
		x.change("b", func(n *node) { n.err = errDown })
		if err := x.Sample(t.Context(), 5); !errors.Is(err, hawser.ErrUnavailable) {
			t.Errorf("Sample without a majority: %v", err)
		}
		x.Close()
		if err := x.Sample(t.Context(), 5); !errors.Is(err, hawser.ErrUnavailable) {
			t.Errorf("Sample after Close: %v", err)
		}
	})
}

// Claim: Close fails those who wait and those who come, ends open questions and
// joins everything (the bubble would not end otherwise).
func TestIndexer_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.delay = time.Hour })
		}
		running := x.read(t.Context(), x.LeaderIndex)
		waiting := x.read(t.Context(), x.LeaderIndex)
		x.Close()
		x.Close()
		running.want(t, hawser.CodeUnavailable)
		waiting.want(t, hawser.CodeUnavailable)
		x.read(t.Context(), x.LeaderIndex).want(t, hawser.CodeUnavailable)
		for _, v := range []string{"b", "c"} {
			if _, open := x.asked(v); open != 0 {
				t.Errorf("%d questions to %s are open after Close", open, v)
			}
		}
	})
}

// Claim: the number of callers that wait for one round is bounded, and one that
// leaves frees its place.
func TestIndexer_MaxWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCluster(t, "a", "b", "c")
		defer x.Close()
		x.leader.maxWaiting = 2
		for _, v := range []string{"b", "c"} {
			x.change(v, func(n *node) { n.delay = 100 * time.Millisecond })
		}
		x.read(t.Context(), x.LeaderIndex) // its round runs
		x.read(t.Context(), x.LeaderIndex)
		leaving, leave := context.WithCancel(t.Context())
		x.read(leaving, x.LeaderIndex)
		x.read(t.Context(), x.LeaderIndex).want(t, hawser.CodeOverloaded)
		leave()
		synctest.Wait()
		x.read(t.Context(), x.LeaderIndex).want(t, hawser.CodeOK)
	})
}

// Claim: a configuration that cannot work is refused.
func TestNew_ChecksConfig(t *testing.T) {
	for _, cfg := range []Config{{}, {Self: "a"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
