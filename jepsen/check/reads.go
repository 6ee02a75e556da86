// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Reads checks that a restore of a head, stale or not, read what the agent was at
// the revision that it says it reflects: neither anything older nor anything of
// after it. Agents that were deleted are left to others.
func Reads(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "reads reflect their revision"}
	nodes := slices.Sorted(maps.Keys(final))
	if len(nodes) == 0 {
		v.Inconclusive = "no node told what it has"
		return v
	}
	gone := deletes(ops)
	for _, op := range ops {
		at := max(op.Revision, op.Least) // that nothing is there has no revision
		if op.Kind != history.Restore || op.Number != 0 || op.Outcome != history.OK || at == 0 || gone[op.Agent].most > 0 {
			continue
		}
		v.Checked++
		chain := final[nodes[0]][op.Agent]
		made, _ := slices.BinarySearchFunc(chain, at+1, func(made Version, r uint64) int { return cmp.Compare(made.Revision, r) })
		if uint64(made) != op.Version {
			v.add("at its revision the head was version %d: %s", made, describe(op))
		}
	}
	return v
}
