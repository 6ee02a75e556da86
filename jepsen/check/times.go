// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
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
// clock nobody changes.
func Times(ops []history.Op) Verdict {
	v := Verdict{Name: "machine time"}
	var saves []history.Op
	for _, op := range ops {
		if op.Kind == history.Save && op.Outcome == history.OK {
			saves = append(saves, op)
		}
	}
	slices.SortStableFunc(saves, func(a, b history.Op) int { return int(a.Revision) - int(b.Revision) })
	for i, op := range saves {
		v.Checked++
		switch {
		case i > 0 && op.Machine < saves[i-1].Machine:
			v.add("the clock goes back: at %s %s, and then at %s %s", saves[i-1].Machine, describe(saves[i-1]), op.Machine, describe(op))
		case op.Machine > op.Return+maxAhead:
			v.add("the clock is ahead: at %s %s", op.Machine, describe(op))
		case op.Machine < op.Call-maxBehind:
			v.add("the clock is behind: at %s %s", op.Machine, describe(op))
		}
	}
	return v
}
