// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// tenure is one claim of an agent, from its grant to its end in the order of the
// log, as the first watcher was told of each.
type tenure struct {
	granted history.Op
	// ended has the revision 0 as long as nobody was told of an end.
	ended history.Op
}

// over reports whether it had ended before a revision.
func (t *tenure) over(revision uint64) bool {
	return t.ended.Revision != 0 && t.ended.Revision < revision
}

// has reports whether a revision lies in it.
func (t *tenure) has(revision uint64) bool {
	return t.granted.Revision < revision && (t.ended.Revision == 0 || revision < t.ended.Revision)
}

// tenures are those of each agent, in order.
type tenures map[string][]tenure

func tenuresOf(ops []history.Op) tenures {
	known := map[grant]*tenure{}
	for _, op := range ops {
		if op.Kind != history.Granted && op.Kind != history.Ended {
			continue
		}
		at := grant{op.Agent, op.Epoch}
		if known[at] == nil {
			known[at] = &tenure{}
		}
		seen := &known[at].granted
		if op.Kind == history.Ended {
			seen = &known[at].ended
		}
		if seen.Revision == 0 || op.Call < seen.Call {
			*seen = op
		}
	}
	all := tenures{}
	for at, t := range known {
		if t.granted.Revision != 0 {
			all[at.agent] = append(all[at.agent], *t)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b tenure) int { return cmp.Compare(a.granted.Revision, b.granted.Revision) })
	}
	return all
}

// of returns the tenure of an epoch, nil if no watcher was told of it.
func (t tenures) of(agent string, epoch uint64) *tenure {
	list := t[agent]
	if i := slices.IndexFunc(list, func(one tenure) bool { return one.granted.Epoch == epoch }); i >= 0 {
		return &list[i]
	}
	return nil
}

// before returns the tenure that was granted last before a revision, nil for none.
func (t tenures) before(agent string, revision uint64) (last *tenure) {
	for i, one := range t[agent] {
		if one.granted.Revision < revision {
			last = &t[agent][i]
		}
	}
	return last
}

// endedBy returns the index of the tenure whose reason to end says that an operation
// has ended it, -1 for none.
func (t tenures) endedBy(op history.Op) int {
	return slices.IndexFunc(t[op.Agent], func(one tenure) bool { return one.ended.Reason == reasonOf(op) })
}

// notBefore is a time at which nothing of a revision had happened yet: something that
// was called then got an earlier one.
func notBefore(ops []history.Op, revision uint64) (last time.Duration) {
	for _, op := range ops {
		if op.Outcome == history.OK && op.Revision != 0 && op.Revision < revision && !op.Stale {
			last = max(last, op.Call)
		}
	}
	return last
}
