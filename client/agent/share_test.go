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

func seatsOf(limits ...int) (seats []seat) {
	for i, limit := range limits {
		seats = append(seats, seat{fmt.Sprintf("host-%d", i), limit})
	}
	return seats
}

// Claim: the parts add up to the agents, differ by one at most, and stay within the
// limits, whatever order the members are in; agents are left out only where all
// limits are reached.
func TestParts(t *testing.T) {
	for name, c := range map[string]struct {
		agents int
		limits []int
		want   []int
	}{
		"nobody":               {5, nil, nil},
		"no agents":            {0, []int{0, 0}, []int{0, 0}},
		"one member":           {7, []int{0}, []int{7}},
		"fewer agents":         {2, []int{0, 0, 0, 0, 0}, []int{0, 0, 0, 1, 1}},
		"a thousand on five":   {1000, []int{0, 0, 0, 0, 0}, []int{200, 200, 200, 200, 200}},
		"they do not divide":   {11, []int{0, 0, 0}, []int{3, 4, 4}},
		"ten thousand":         {10000, slices.Repeat([]int{0}, 20), slices.Repeat([]int{500}, 20)},
		"one has little room":  {101, []int{10, 0, 0}, []int{10, 45, 46}},
		"some have":            {100, []int{0, 10, 60, 20}, []int{35, 10, 35, 20}},
		"too little room":      {100, []int{10, 20, 30}, []int{10, 20, 30}},
		"more than leases do":  {20000, []int{0, 20000}, []int{9500, 9500}},
		"a limit that is none": {3, []int{-1}, []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			seats := seatsOf(c.limits...)
			by := parts(c.agents, seats)
			for i, s := range seats {
				if by[s.instance] != c.want[i] {
					t.Errorf("%s has %d, want %d", s.instance, by[s.instance], c.want[i])
				}
			}
			rand.Shuffle(len(seats), func(i, j int) { seats[i], seats[j] = seats[j], seats[i] })
			if again := parts(c.agents, seats); len(by) != len(seats) || !maps.Equal(by, again) {
				t.Errorf("in another order it comes to %v, not %v", again, by)
			}
		})
	}
}
