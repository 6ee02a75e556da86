// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Archives checks what archives that were made hold, by their names: of every agent
// that had a version at the archive's revision exactly its versions up to then. One
// that was made and is not among them could not be read. That the revision is not an
// old one [Revisions] checks.
//
// Not promised, and not checked: that an archive can be made while a node fails.
// But one must have been, or nothing was seen.
func Archives(ops []history.Op, made map[string]map[string]Chain, final Final) Verdict {
	v := Verdict{Name: "archives"}
	archives := 0
	for _, op := range ops {
		if op.Kind != history.Archive || op.Outcome != history.OK {
			continue
		}
		archives++
		holds, ok := made[op.Value]
		if !ok {
			v.add("it is no archive: %s", describe(op))
			continue
		}
		for _, node := range slices.Sorted(maps.Keys(final)) {
			v.archive(op, node, holds, final[node])
		}
	}
	if archives == 0 {
		v.Inconclusive = "no archive was made"
	}
	return v
}

// archive compares one with what a node has.
func (v *Verdict) archive(op history.Op, node string, holds, chains map[string]Chain) {
	for _, agent := range slices.Sorted(maps.Keys(holds)) {
		if _, ok := chains[agent]; !ok {
			v.add("node %s has no agent %s: %s", node, agent, describe(op))
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(chains)) {
		chain := chains[agent]
		until := slices.IndexFunc(chain, func(made Version) bool { return made.Revision > op.Revision })
		if until < 0 {
			until = len(chain)
		}
		v.Checked++
		for i := range max(until, len(holds[agent])) {
			var is, want Version
			if i < len(holds[agent]) {
				is = holds[agent][i]
			}
			if i < until {
				want = chain[i]
				want.Txn = "" // archives do not tell
			}
			if is != want {
				v.add("it has %+v as version %d of agent %s, and node %s %+v up to its revision: %s", is, i+1, agent, node, want, describe(op))
				break
			}
		}
	}
}
