// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// ownSlack is how long after the end of a claim its owner may learn of it: the
// harness runs on a machine that is busy.
const ownSlack = 250 * time.Millisecond

// Fencing checks agents that are written to by their owners alone (G4): epochs
// never go back from version to version, each version is of the client that owned
// that epoch, each epoch is one client's, and no two own an agent at a time.
func Fencing(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "fencing"}
	type tenure struct {
		agent string
		epoch uint64
	}
	owners := map[tenure]history.Op{}
	owned := map[string][]history.Op{}
	saved := map[string]history.Op{}
	for _, op := range ops {
		if op.Kind == history.Own {
			v.Checked++
			at := tenure{op.Agent, op.Epoch}
			if other, ok := owners[at]; ok && other.Client != op.Client {
				v.add("an epoch is two clients': %s\n  and %s", describe(other), describe(op))
			}
			owners[at] = op
			owned[op.Agent] = append(owned[op.Agent], op)
		}
		if op.Kind == history.Save {
			if saved[op.Value] = op; op.Deposed && op.Outcome == history.OK {
				v.add("it had been given back: %s", describe(op))
			}
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(owned)) {
		list := owned[agent]
		slices.SortFunc(list, func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) })
		for i := 1; i < len(list); i++ {
			before, after := list[i-1], list[i]
			if after.Epoch <= before.Epoch {
				v.add("an epoch goes back: %s\n  and then %s", describe(before), describe(after))
			}
			if before.Return > after.Call+ownSlack || before.Return == 0 {
				v.add("two own it at a time: %s\n  and %s", describe(before), describe(after))
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(final)) {
		for _, agent := range slices.Sorted(maps.Keys(final[node])) {
			last := uint64(0)
			for i, made := range final[node][agent] {
				v.Checked++
				op, known := saved[made.Value]
				switch {
				case made.Epoch == 0:
					v.add("node %s: version %d of agent %s is of nobody who owned it", node, i+1, agent)
				case made.Epoch < last:
					v.add("node %s: version %d of agent %s is of epoch %d, one before it of %d", node, i+1, agent, made.Epoch, last)
				case known && op.Epoch != made.Epoch:
					v.add("node %s: version %d of agent %s is of epoch %d, but: %s", node, i+1, agent, made.Epoch, describe(op))
				}
				last = max(last, made.Epoch)
			}
		}
	}
	return v
}
