// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// writes are the operations that make a revision of their own.
var writes = []history.Kind{history.Save, history.Send, history.Rollback, history.Fork, history.SaveAll, history.Cut, history.RollbackTo}

// Revisions checks all operations against the order that the cluster itself
// tells: a write that was answered before another one was sent has a smaller
// revision, and a read reflects a revision not below that of anything that was
// answered before it was sent, unless it may be old. It takes no search, so
// that it looks at all of them.
func Revisions(ops []history.Op) Verdict {
	v := Verdict{Name: "revisions follow real time"}
	type moment struct {
		at  time.Duration
		op  *history.Op
		end bool
	}
	var moments []moment
	for i := range ops {
		op := &ops[i]
		if op.Outcome != history.OK || op.Revision == 0 || op.Stale {
			continue
		}
		v.Checked++
		moments = append(moments, moment{op.Call, op, false}, moment{op.Return, op, true})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	var newest *history.Op // of what has been answered, that of the highest revision
	before := map[*history.Op]*history.Op{}
	for _, m := range moments {
		switch {
		case !m.end:
			before[m.op] = newest
		case newest == nil || m.op.Revision > newest.Revision:
			newest = m.op
		}
	}
	for _, m := range moments {
		last := before[m.op]
		if m.end || last == nil {
			continue
		}
		if m.op.Revision < last.Revision || slices.Contains(writes, m.op.Kind) && m.op.Revision == last.Revision {
			v.add("%s\n  although before it: %s", describe(*m.op), describe(*last))
		}
	}
	return v
}
