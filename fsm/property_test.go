// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// TestMachine_OneLogOneDigest: one log gives the same answers and the same
// state whatever the batching, and with restarts, power cuts and swaps in
// between. The seed is printed; each run takes another one.
func TestMachine_OneLogOneDigest(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, round))
		log := randomLog(t, rng, 300)
		first := newReplica(t, rng, log, nil)
		for first.next < len(log) {
			first.apply(1)
		}
		want := first.digest()
		for name, disturb := range disturbances(log) {
			t.Run(name, func(t *testing.T) {
				r := newReplica(t, rng, log, first.got)
				for r.next < len(log) {
					r.apply(1 + rng.IntN(30))
					if rng.IntN(6) == 0 {
						disturb(r)
					}
				}
				if got := r.digest(); got != want {
					t.Fatalf("round %d: digest %v, the first replica's is %v", round, got, want)
				}
			})
		}
	}
}

// TestMachine_Model: after every command each version that is there is rebuilt
// to its exact bytes, every other one says why not, and a recount of all that
// is stored finds what the machine counted, and nothing that nothing leads to.
func TestMachine_Model(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := newGenerator(t, rand.New(rand.NewPCG(seed, 0)))
	done := map[string]int{}
	for n := range 600 {
		for _, c := range g.commands() {
			g.apply(g.stamp(n), c)
			done[fmt.Sprintf("%T", c)]++
			fsm.CheckStore(t, g.m)
			if t.Failed() {
				t.Fatalf("after %T %+v", c, c)
			}
		}
		g.model.check(g.m)
	}
	t.Logf("commands %v, %d deltas did not fit, transactions %v", done, g.model.refused, g.model.outcomes)
}

func disturbances(log []fsm.Entry) map[string]func(*replica) {
	return map[string]func(*replica){
		"batching": func(*replica) {},
		"restart":  (*replica).restart,
		"crash":    (*replica).crash,
		"flush": func(r *replica) {
			if err := r.m.Flush(); err != nil {
				r.t.Fatal(err)
			}
		},
		"swap": func(r *replica) {
			other := newReplica(r.t, r.rng, log, nil)
			for other.next < r.next+r.rng.IntN(40) && other.next < len(log) {
				other.apply(1 + r.rng.IntN(50))
			}
			if index, _ := other.m.Applied(); index >= r.applied() {
				r.swapFrom(other)
			}
		},
	}
}

func (r *replica) applied() uint64 {
	index, _ := r.m.Applied()
	return index
}

// TestMachine_PowerCutKeepsPrefix: after a power cut at any moment the state
// is exactly that of the applied index it names, which is not older than what
// Durable said. The digest of every prefix is known from another replica.
func TestMachine_PowerCutKeepsPrefix(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	log := randomLog(t, rng, 250)
	first := newReplica(t, rng, log, nil)
	digests := map[uint64]digests{0: first.digest()}
	for first.next < len(log) {
		first.apply(1)
		digests[first.applied()] = first.digest()
	}
	r := newReplica(t, rng, log, first.got)
	lost := 0
	for cuts := range 40 {
		if r.next == len(log) {
			r = newReplica(t, rng, log, first.got)
		}
		for range rng.IntN(12) {
			r.apply(1 + rng.IntN(12))
		}
		before := r.applied()
		r.crash()
		if got, want := r.digest(), digests[r.applied()]; got != want {
			t.Fatalf("after power cut %d at index %d the state is not that of the index", cuts, r.applied())
		}
		if r.applied() < before {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no power cut lost anything: the test shows nothing")
	}
}
