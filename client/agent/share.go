// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"slices"
	"strings"
)

// maxPart is the most agents that one member runs: what one lease holds, less some
// for what is being given back.
const maxPart = 9_500

// seat is a member of a pool and how many agents it takes, 0 for any number.
type seat struct {
	instance string
	limit    int
}

func (s seat) most() int {
	if s.limit <= 0 {
		return maxPart
	}
	return min(s.limit, maxPart)
}

// parts returns how many agents each member is to run: equal parts, with one more
// for some where they do not divide, and less for those with a low limit. All that
// know of the same number of agents and the same members come to the same. The
// parts add up to the agents, unless all limits are reached: what one has too many
// there is room for elsewhere.
func parts(agents int, seats []seat) map[string]int {
	seats = slices.Clone(seats)
	slices.SortFunc(seats, func(a, b seat) int {
		return cmp.Or(cmp.Compare(a.most(), b.most()), strings.Compare(a.instance, b.instance))
	})
	by := make(map[string]int, len(seats))
	for i, s := range seats {
		n := min(s.most(), agents/(len(seats)-i))
		by[s.instance] = n
		agents -= n
	}
	return by
}
