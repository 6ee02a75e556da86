// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Random interleavings: several processes, two at one address among them, are
// stopped and resumed at every call and write, while disks are lost, swapped
// back and addresses change hands. Never two clusters, no promise goes back.
func TestFounding_RandomInterleavings(t *testing.T) {
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
		if interleave(t, seed+uint64(i)) {
			formed++
		}
	}
	t.Logf("seed %d: %d of %d runs formed a cluster with all nodes", seed, formed, runs)
	if formed == 0 || formed == runs {
		t.Fatal("the faults do not reach both outcomes: the test shows nothing")
	}
}

func interleave(t *testing.T, seed uint64) bool {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newSim(t, 2+rng.IntN(2))
	s.note("seed %d", seed)
	faulty := 1 + rng.IntN(15) // in a hundred
	a := s.addrs[0]
	var tasks []*task
	for range 50 + rng.IntN(250) {
		addr := s.addrs[rng.IntN(len(s.addrs))]
		switch roll := rng.IntN(100); {
		case roll < faulty/3:
			s.cut[addr] = !s.cut[addr]
		case roll < faulty*2/3:
			// A second process at the coordinator's address, or the other one answers.
			mine := slices.DeleteFunc(slices.Clone(s.procs), func(p *proc) bool { return p.d.addr != a })
			if len(mine) < 2 {
				s.start(a, s.newDisk(a))
			} else {
				s.at[a] = mine[rng.IntN(len(mine))]
				s.note("%s answers", s.at[a].d.id)
			}
		case roll < faulty*5/6:
			s.restart(addr)
		case roll < faulty:
			s.wipe(addr)
		case roll < faulty+10:
			s.campaign(s.procs[rng.IntN(len(s.procs))])
		case roll < faulty+25 || len(tasks) == 0:
			if p := s.procs[rng.IntN(len(s.procs))]; !p.stepping && !p.granting {
				tasks = append(tasks, s.spawn(p))
			}
		default:
			s.proceed(tasks[rng.IntN(len(tasks))])
		}
		tasks = slices.DeleteFunc(tasks, func(t *task) bool { return t.done })
		s.check()
	}
	for _, t := range tasks {
		for !t.done {
			s.proceed(t)
			s.check()
		}
	}
	return s.settle()
}
