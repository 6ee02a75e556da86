// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import "github.com/hawserdb/hawser/jepsen/history"

// Holds checks what watchers were told of grants and ends of claims and locks
// (G6): all the same, each once, each end after its grant, and each grant after
// the end before it, or of a semaphore when there is a place. All of the watchers have
// seen what there is up to the last revision.
func Holds(ops []history.Op, watchers []int, last uint64) Verdict {
	v := Verdict{Name: "watches of holds"}
	told := map[int][]history.Op{}
	for _, op := range ops {
		if (op.Kind == history.Granted || op.Kind == history.Ended) && op.Revision <= last {
			told[op.Client] = append(told[op.Client], op)
		}
	}
	places := placesOf(ops)
	for _, w := range watchers {
		v.Checked += len(told[w])
		v.turns(told[w], places)
		v.same(watchers[0], w, told)
	}
	return v
}

// same checks that two watchers were told the same.
func (v *Verdict) same(one, other int, told map[int][]history.Op) {
	first, second := told[one], told[other]
	for k := range min(len(first), len(second)) {
		a, b := first[k], second[k]
		if b.Client, b.Call, b.Return = a.Client, a.Call, a.Return; describe(a) != describe(b) {
			v.add("watchers %d and %d were not told the same: %s\n  and %s", one, other, describe(a), describe(b))
			return
		}
	}
	if len(first) != len(second) {
		longer := first
		if len(second) > len(first) {
			longer = second
		}
		v.add("watchers %d and %d were told %d and %d grants and ends; only one was told of: %s",
			one, other, len(first), len(second), describe(longer[min(len(first), len(second))]))
	}
}

// turns checks that of each claim and lock no more are held than there are places,
// and that what ends is held. The first end may be of something that was granted
// before the watch began.
func (v *Verdict) turns(told []history.Op, places places) {
	last := map[string]history.Op{}
	held := map[grant]bool{}
	count := map[string]int{}
	for _, op := range told {
		before, ok := last[op.Agent]
		last[op.Agent] = op
		at := grant{op.Agent, op.Epoch}
		switch {
		case op.Kind == history.Granted && count[op.Agent] >= places.of(op.Agent):
			v.add("it was granted before it had ended: %s\n  and then %s", describe(before), describe(op))
		case op.Kind == history.Ended && ok && !held[at]:
			v.add("an end is not of what is held: %s\n  and then %s", describe(before), describe(op))
		case op.Revision < before.Revision:
			v.add("the order of the log goes back: %s\n  and then %s", describe(before), describe(op))
		}
		switch {
		case op.Kind == history.Granted:
			held[at] = true
			count[op.Agent]++
		case held[at]:
			delete(held, at)
			count[op.Agent]--
		}
	}
}
