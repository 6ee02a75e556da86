// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hawserdb/hawser/internal/rendezvous"
)

// seat is a member of a pool and how many agents it takes, 0 for any number.
type seat struct {
	instance string
	limit    int
}

// share returns which member is to run which agent. All that know of the same
// agents and members come to the same. Each agent goes to the member with which it
// hashes highest and that has room left: a tenth above the average, and its own
// limit. Agents that nobody has room for are left out.
func share(agents []string, seats []seat) map[string]string {
	if len(seats) == 0 {
		return nil
	}
	agents, seats = slices.Clone(agents), slices.Clone(seats)
	slices.Sort(agents)
	slices.SortFunc(seats, func(a, b seat) int { return strings.Compare(a.instance, b.instance) })
	room := rooms(len(agents), seats)
	by := make(map[string]string, len(agents))
	order := make([]int, len(seats))
	weights := make([]uint64, len(seats))
	for _, name := range agents {
		for i, s := range seats {
			order[i], weights[i] = i, rendezvous.Weight(name, s.instance)
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
		for _, i := range order {
			if room[i] > 0 {
				room[i]--
				by[name] = seats[i].instance
				break
			}
		}
	}
	return by
}

// rooms returns how many agents each member may have: a tenth above the average, or
// what its limit is, or more where the limits of others are so low that some agents
// would be left.
func rooms(agents int, seats []seat) []int {
	within := func(bound int) (room []int, sum int) {
		for _, s := range seats {
			n := bound
			if s.limit > 0 {
				n = min(n, s.limit)
			}
			room, sum = append(room, n), sum+n
		}
		return room, sum
	}
	room, sum := within((11*agents + 10*len(seats) - 1) / (10 * len(seats)))
	if sum < agents {
		room, _ = within(agents)
	}
	return room
}
