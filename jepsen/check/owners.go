// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// ownSlack is how long after the end of a claim or lock its owner may learn of it:
// the harness runs on a machine that is busy.
const ownSlack = 250 * time.Millisecond

// owners checks those who own a claim or a lock: each number is one client's,
// numbers rise from one owner to the next, and no two own it at a time. One that
// stood still may learn of its end when somebody else owns it; such overlaps are
// counted. But it is never certain that it owns it then.
func (v *Verdict) owners(ops []history.Op) {
	owned := v.numbers(ops)
	allowed := 0
	for _, agent := range slices.Sorted(maps.Keys(owned)) {
		list := owned[agent]
		for i := 1; i < len(list); i++ {
			before, after := list[i-1], list[i]
			if after.Epoch <= before.Epoch {
				v.add("an epoch goes back: %s\n  and then %s", describe(before), describe(after))
			}
			switch {
			case before.Sure > after.Call, before.Return == 0, !before.Paused && before.Return > after.Call+ownSlack:
				v.add("two own it at a time: %s\n  and %s", describe(before), describe(after))
			case before.Return > after.Call:
				allowed++
			}
		}
	}
	if allowed > 0 {
		v.note(fmt.Sprintf("%d times one that stood still learned late that it was another's", allowed))
	}
}

// numbers checks that each number of a claim or a lock is one client's, and returns
// who owned each, in the order in which they began to.
func (v *Verdict) numbers(ops []history.Op) map[string][]history.Op {
	owners := map[grant]history.Op{}
	owned := map[string][]history.Op{}
	for _, op := range ops {
		if op.Kind != history.Own {
			continue
		}
		v.Checked++
		at := grant{op.Agent, op.Epoch}
		if other, ok := owners[at]; ok && other.Client != op.Client {
			v.add("an epoch is two clients': %s\n  and %s", describe(other), describe(op))
		}
		owners[at] = op
		owned[op.Agent] = append(owned[op.Agent], op)
	}
	for _, list := range owned {
		slices.SortFunc(list, func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) })
	}
	return owned
}
