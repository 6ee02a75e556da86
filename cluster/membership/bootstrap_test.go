// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "first seed of the random simulation; 0: from the clock")
	simRuns = flag.Int("sim.runs", 3000, "number of random simulations")
	simFull = flag.Bool("sim.full", false, "try every pair of points with every pair of faults (half a minute), not every fourth point")
)

// event is a fault at a point of a simulation.
type event struct {
	name string
	do   func(*sim)
}

// faults returns the faults at addrs. Only at the addresses of returning may a
// disk that was replaced come back: if a majority of them did, two clusters
// whose founders have nothing in common would both be whole.
func faults(addrs, returning []string) []event {
	var all []event
	for _, addr := range addrs {
		all = append(all,
			event{"restart " + addr, func(s *sim) { s.restart(addr) }},
			event{"wipe " + addr, func(s *sim) { s.wipe(addr) }},
			event{"cut " + addr, func(s *sim) { s.cut[addr] = !s.cut[addr] }},
		)
	}
	for _, addr := range returning {
		all = append(all, event{"swap back " + addr, func(s *sim) { s.swapBack(addr) }})
		for _, back := range []bool{false, true} {
			all = append(all,
				event{fmt.Sprintf("zombie %s back=%v", addr, back), func(s *sim) { s.zombie(addr, 2, false, back) }},
				event{fmt.Sprintf("shelved zombie %s back=%v", addr, back), func(s *sim) { s.zombie(addr, 1, true, back) }},
			)
		}
	}
	return all
}

// N nodes that see each other and nothing else found one cluster, and all are
// its voters.
func TestFounding_Undisturbed(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 15} {
		s := newSim(t, n)
		if !s.settle() {
			t.Fatalf("%d nodes founded nothing: %s", n, s.why())
		}
		for _, addr := range s.addrs {
			state := s.at[addr].d.state
			if !s.elected[state.ClusterID] || !state.Started || len(s.confs[state.ClusterID]) != n {
				t.Fatalf("%d nodes: %s is in state %+v", n, addr, state)
			}
		}
	}
}

// points returns how many points an undisturbed founding of n nodes has.
func points(t *testing.T, n int) int {
	t.Helper()
	s := newSim(t, n)
	s.round()
	s.round()
	return s.point
}

// Every single fault at every point of the founding by three nodes, and the
// loss of the coordinator's disk among them, ends in one cluster or in nodes
// that say what they wait for. Before BootstrapCluster it always ends in one.
func TestFounding_OneFaultAnywhere(t *testing.T) {
	formed, waiting := 0, 0
	for at := 1; at <= points(t, 3); at++ {
		for _, e := range faults(newSim(t, 3).addrs, newSim(t, 3).addrs[:1]) {
			s := newSim(t, 3)
			founded := false
			s.script[at] = func(*proc) {
				s.note("%s", e.name)
				e.do(s)
				founded = len(s.confs) > 0
			}
			s.round()
			s.round()
			if s.settle() {
				formed++
				continue
			}
			waiting++
			if !founded {
				s.fail("%s at point %d: no cluster, though none had been founded: %s", e.name, at, s.why())
			}
		}
	}
	t.Logf("%d runs formed one cluster, %d wait", formed, waiting)
	if formed == 0 || waiting == 0 {
		t.Fatal("the faults do not reach both outcomes: the test shows nothing")
	}
}

// The coordinator loses its disk at each step, for good: before any promise,
// after its own, after each other one, after the first configuration was
// written, and after it was replicated. Each ends in exactly one cluster: a new
// one as long as nobody voted under the first, else the first, which takes the
// empty coordinator in as a new node.
func TestFounding_CoordinatorLosesItsDisk(t *testing.T) {
	seen := map[string]int{}
	for at := 1; at <= points(t, 3)+6; at++ {
		s := newSim(t, 3)
		a := s.addrs[0]
		step, first := "", ClusterID{}
		s.script[at] = func(*proc) {
			promises := 0
			for _, addr := range s.addrs {
				if s.at[addr].d.state.Promise != nil {
					promises++
				}
			}
			step = fmt.Sprintf("%d promises", promises)
			if len(s.confs) > 0 {
				step, first = "founded", s.at[a].identity()
			}
			if s.elected[first] {
				step = "replicated"
			}
			s.wipe(a)
		}
		s.round()
		s.round()
		if !s.settle() {
			s.fail("disk lost at point %d (%s): no cluster: %s", at, step, s.why())
		}
		seen[step]++
		now := s.at[a].d.state
		if kept := now.ClusterID == first && !first.IsZero(); kept != (step == "replicated") {
			t.Errorf("disk lost at point %d (%s): cluster %s, and then %s", at, step, first.Short(), now.ClusterID.Short())
		}
	}
	for _, step := range []string{"0 promises", "1 promises", "2 promises", "3 promises", "founded", "replicated"} {
		if seen[step] == 0 {
			t.Errorf("no run lost the disk at step %q: %v", step, seen)
		}
	}
}

// The first leader got votes, replicated nothing, and its disk is gone. Those
// who voted cannot found another cluster, and everybody says why it waits.
func TestFounding_VotedAndNothingReplicated(t *testing.T) {
	s := newSim(t, 3)
	for len(s.confs) == 0 {
		s.step(s.at[s.addrs[0]])
	}
	b := s.at[s.addrs[1]].d
	b.raft = b.state.Promise.ClusterID // the vote
	s.wipe(s.addrs[0])
	if s.settle() {
		t.Fatal("a cluster was formed", s.log)
	}
	for _, addr := range []string{s.addrs[0], s.addrs[2]} {
		if w := s.at[addr].f.Waiting(); !strings.Contains(w, "hostb:7421") && !strings.Contains(w, "cluster") {
			t.Errorf("%s waits for %q", addr, w)
		}
	}
}

// A coordinator that has its promise but lost its raft state alone does not
// found its cluster a second time: that would forget votes.
func TestFounding_CoordinatorLosesRaftStateOnly(t *testing.T) {
	s := newSim(t, 3)
	s.round()
	s.round()
	a := s.at[s.addrs[0]]
	s.crash(a)
	a.d.raft, a.d.conf, a.d.state.ClusterID, a.d.state.Generation, a.d.state.Started = ClusterID{}, nil, ClusterID{}, 0, false
	p := s.start(s.addrs[0], a.d)
	s.round()
	if he, ok := errors.AsType[*halt.Error](p.err); !ok || he.Reason != halt.Damaged {
		t.Fatalf("ends with %v", p.err)
	}
}

// Nodes that were started with different addresses, one address twice, or
// without --bootstrap-expect found nothing and say who differs.
func TestFounding_DifferentStartLines(t *testing.T) {
	s := newSim(t, 3)
	c := s.at[s.addrs[2]]
	s.crash(c)
	s.start(c.d.addr, c.d, s.addrs[2], "hostx:1", "hosty:1")
	if s.settle() || len(s.confs) > 0 {
		t.Fatal("founded", s.log)
	}
	if w := s.at[s.addrs[0]].f.Waiting(); !strings.Contains(w, "was started with other addresses: hostc:7421,hostx:1,hosty:1 instead of") {
		t.Errorf("the coordinator waits for %q", w)
	}
	s.at[s.addrs[2]].f.cfg.StartLine = nil
	s.step(s.at[s.addrs[0]])
	if w := s.at[s.addrs[0]].f.Waiting(); !strings.Contains(w, "without --bootstrap-expect") {
		t.Errorf("the coordinator waits for %q", w)
	}
	s.at[s.addrs[2]] = s.at[s.addrs[1]]
	s.step(s.at[s.addrs[0]])
	if w := s.at[s.addrs[0]].f.Waiting(); !strings.Contains(w, "are the same node hostb-00000002") {
		t.Errorf("the coordinator waits for %q", w)
	}
}

// Two founders with one name found nothing, and the coordinator names it.
func TestFounding_TwoNodesWithOneName(t *testing.T) {
	s := newSim(t, 3)
	c := s.addrs[2]
	s.crash(s.at[c])
	d := s.newDisk(c)
	d.id = "hostb-0000000f"
	d.state.Node = d.id
	s.start(c, d)
	if s.settle() || len(s.confs) > 0 {
		t.Fatal("founded", s.log)
	}
	if w := s.at[s.addrs[0]].f.Waiting(); !strings.Contains(w, `two nodes have the name "hostb", at hostb:7421 and hostc:7421`) {
		t.Errorf("the coordinator waits for %q", w)
	}
}

// Every pair of faults at pairs of points (every one with -sim.full), for two
// nodes and for three, faults of the coordinator and one more node: never two
// clusters, and nobody waits in silence.
func TestFounding_TwoFaultsAnywhere(t *testing.T) {
	for _, n := range []int{2, 3} {
		runs := 0
		events := faults(newSim(t, n).addrs[:2], newSim(t, n).addrs[:1])
		last, stride := points(t, n), 5
		if *simFull {
			stride = 1
		}
		for first := 1; first <= last; first += stride {
			for second := first + 1; second <= last+4; second += stride * (n - 1) {
				for _, e1 := range events {
					for _, e2 := range events {
						s := newSim(t, n)
						s.script[first] = func(*proc) { s.note("%s", e1.name); e1.do(s) }
						s.script[second] = func(*proc) { s.note("%s", e2.name); e2.do(s) }
						s.round()
						s.round()
						s.settle()
						runs++
					}
				}
			}
		}
		t.Logf("%d nodes: %d runs", n, runs)
	}
}

// Random schedules of many faults, with nodes whose start lines differ: never
// two clusters, no promise goes back, nobody waits in silence.
func TestFounding_RandomFaults(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	runs := *simRuns
	if raceEnabled {
		runs /= 10
	}
	formed := 0
	for i := range runs {
		if randomFounding(t, seed+uint64(i)) {
			formed++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("seed %d: %d of %d runs formed a cluster with all nodes", seed, formed, runs)
	if formed == 0 || formed == runs {
		t.Fatal("the faults do not reach both outcomes: the test shows nothing")
	}
}

func randomFounding(t *testing.T, seed uint64) bool {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	n := 2 + rng.IntN(3)
	s := newSim(t, n)
	s.note("seed %d", seed)
	returning := rng.Perm(n)[:n/2] // one less than a majority
	if rng.IntN(2) == 0 {
		returning[0] = 0 // the coordinator's, more often than not
	}
	var back []string
	for _, i := range returning {
		back = append(back, s.addrs[i])
	}
	events := faults(s.addrs, back)
	if rng.IntN(3) == 0 { // somebody was started with fewer addresses
		addr := s.addrs[rng.IntN(n)]
		d := s.at[addr].d
		s.crash(s.at[addr])
		line := []string{addr}
		for _, other := range s.addrs {
			if other != addr && rng.IntN(2) == 0 {
				line = append(line, other)
			}
		}
		start, err := NewStartLine(len(line), addr, line)
		if err != nil {
			t.Fatal(err)
		}
		s.start(addr, d, start...)
	}
	for range 1 + rng.IntN(8) {
		e := events[rng.IntN(len(events))]
		s.script[1+rng.IntN(120)] = func(*proc) { s.note("%s", e.name); e.do(s) }
	}
	for range 2 + rng.IntN(6) {
		s.round()
	}
	return s.settle()
}
