// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Fencing checks agents that are written to by their owners alone (G4): epochs
// never go back from version to version, each version is of the client that owned
// that epoch, each epoch is one client's, and no two own an agent at a time.
func Fencing(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "fencing"}
	saved := map[string]history.Op{}
	for _, op := range ops {
		if op.Kind != history.Save {
			continue
		}
		if saved[op.Value] = op; op.Deposed && op.Outcome == history.OK {
			v.add("it had been given back: %s", describe(op))
		}
	}
	v.owners(ops)
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
