// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func crew(n int) (agents []string) {
	for i := range n {
		agents = append(agents, fmt.Sprintf("crew/%d", i))
	}
	return agents
}

func seatsOf(limits ...int) (seats []seat) {
	for i, limit := range limits {
		seats = append(seats, seat{fmt.Sprintf("host-%d", i), limit})
	}
	return seats
}

func counts(by map[string]string) map[string]int {
	n := map[string]int{}
	for _, instance := range by {
		n[instance]++
	}
	return n
}

// Claim: every agent has one member, nobody has more than a tenth above the average
// or than its limit, whatever order the agents and members are in; agents are left
// out only where all limits are reached.
func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		agents int
		limits []int
		most   []int
		shared int
	}{
		"nobody":              {5, nil, nil, 0},
		"no agents":           {0, []int{0, 0}, []int{0, 0}, 0},
		"one member":          {7, []int{0}, []int{7}, 7},
		"fewer agents":        {2, []int{0, 0, 0, 0, 0}, []int{1, 1, 1, 1, 1}, 2},
		"a thousand on five":  {1000, []int{0, 0, 0, 0, 0}, []int{220, 220, 220, 220, 220}, 1000},
		"ten thousand":        {10000, slices.Repeat([]int{0}, 20), slices.Repeat([]int{550}, 20), 10000},
		"one has little room": {100, []int{10, 0, 0}, []int{10, 100, 100}, 100},
		"too little room":     {100, []int{10, 20, 30}, []int{10, 20, 30}, 60},
	} {
		t.Run(name, func(t *testing.T) {
			agents, seats := crew(c.agents), seatsOf(c.limits...)
			by := share(agents, seats)
			if len(by) != c.shared {
				t.Errorf("%d agents have a member, want %d", len(by), c.shared)
			}
			n := counts(by)
			for i, s := range seats {
				if n[s.instance] > c.most[i] {
					t.Errorf("%s has %d, at most %d", s.instance, n[s.instance], c.most[i])
				}
			}
			rng := rand.New(rand.NewPCG(1, 2))
			rng.Shuffle(len(agents), func(i, j int) { agents[i], agents[j] = agents[j], agents[i] })
			rng.Shuffle(len(seats), func(i, j int) { seats[i], seats[j] = seats[j], seats[i] })
			if !maps.Equal(by, share(agents, seats)) {
				t.Error("in another order it comes to something else")
			}
		})
	}
}

// Claim: when a member goes, its agents are spread over the others, and few others
// move.
func TestShare_MovesLittle(t *testing.T) {
	agents, seats := crew(1000), seatsOf(0, 0, 0, 0, 0)
	before, after := share(agents, seats), share(agents, seats[:4])
	lost, moved := 0, 0
	for _, a := range agents {
		switch {
		case before[a] == seats[4].instance:
			lost++
		case before[a] != after[a]:
			moved++
		}
	}
	if lost < 160 || moved > 100 {
		t.Errorf("%d agents were lost with their member, and %d others moved", lost, moved)
	}
	for instance, n := range counts(after) {
		if n < 200 || n > 275 {
			t.Errorf("%s has %d", instance, n)
		}
	}
}
