// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// The cluster's clock follows the median of the voters' wall clocks, so one that
// jumps does not move it. It may stand while the cluster has no leader, and is
// slewed by a tenth at most towards what it should be.
const (
	maxAhead  = 2 * time.Second
	maxBehind = 10 * time.Second
)

// Times checks the cluster's clock by the times of versions (G8): it never goes
// back from one revision to the next, and is about that of the harness, whose
// clock nobody changes and began at a time of the wall clock.
func Times(ops []history.Op, began time.Time) Verdict {
	v := Verdict{Name: "machine time"}
	var saves []history.Op
	for _, op := range ops {
		if op.Kind == history.Save && op.Outcome == history.OK {
			saves = append(saves, op)
		}
	}
	slices.SortStableFunc(saves, func(a, b history.Op) int { return cmp.Compare(a.Revision, b.Revision) })
	for i, op := range saves {
		v.Checked++
		at := time.Duration(op.Machine - began.UnixNano())
		switch {
		case i > 0 && op.Machine < saves[i-1].Machine:
			v.add("the clock goes back by %d ns: %s, and then %s", saves[i-1].Machine-op.Machine, describe(saves[i-1]), describe(op))
		case at > op.Return+maxAhead:
			v.add("the clock is ahead: at %s %s", at, describe(op))
		case at < op.Call-maxBehind:
			v.add("the clock is behind: at %s %s", at, describe(op))
		}
	}
	return v
}
