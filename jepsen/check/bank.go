// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Bank checks transfers between accounts (G5): every read of all accounts at one
// revision finds as much money as there was, what was committed is there in all
// of its accounts, at one revision, and what was aborted in none. Nobody ever reads
// what was not committed.
func Bank(ops []history.Op, final Final, money int) Verdict {
	v := Verdict{Name: "bank"}
	transfers, seen := map[string]history.Op{}, map[string]history.Op{}
	for _, op := range ops {
		switch {
		case op.Kind == history.Transfer:
			transfers[op.Value] = op
		case op.Kind == history.Total && op.Outcome == history.OK:
			if v.Checked++; op.Sum != money {
				v.add("there are %d in all accounts, not %d: %s", op.Sum, money, describe(op))
			}
			for _, id := range op.Txns {
				seen[id] = op
			}
		}
	}
	type half struct {
		agent    string
		revision uint64
	}
	for _, node := range slices.Sorted(maps.Keys(final)) {
		halves := map[string][]half{}
		for _, agent := range slices.Sorted(maps.Keys(final[node])) {
			for _, made := range final[node][agent] {
				if made.Txn != "" {
					halves[made.Txn] = append(halves[made.Txn], half{agent, made.Revision})
				}
			}
		}
		for _, id := range slices.Sorted(maps.Keys(seen)) {
			if v.Checked++; len(halves[id]) == 0 {
				v.add("what transfer %s has staged was read, and node %s has nothing of it: %s", id, node, describe(seen[id]))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(transfers)) {
			v.Checked++
			op, found := transfers[id], halves[id]
			delete(halves, id)
			switch {
			case len(found) == 0 && op.Outcome != history.OK:
			case len(found) == 0:
				v.add("node %s has nothing of what was committed: %s", node, describe(op))
			case op.Outcome == history.Failed:
				v.add("node %s has versions %v of what was aborted: %s", node, found, describe(op))
			case len(found) != len(op.Agents) || slices.ContainsFunc(found, func(h half) bool { return h.revision != found[0].revision || !slices.Contains(op.Agents, h.agent) }):
				v.add("node %s has %v of a transfer between %v: %s", node, found, op.Agents, describe(op))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(halves)) {
			v.add("node %s has versions %v of a transfer that nobody began", node, halves[id])
		}
	}
	return v
}
