// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Locks checks locks that guard a resource elsewhere: fences rise from one grant of
// a lock to the next, in the order of the log; each was granted before it was held
// or shown; no two are certain at a time that they hold a lock; and what the
// resource accepts never goes back to an older fence, and is what its writer was
// told.
func Locks(ops []history.Op) Verdict {
	v := Verdict{Name: "locks"}
	v.owners(ops)
	granted := v.grants(ops)
	v.judged(ops, granted)
	return v
}

// grant is one grant of a claim or lock: its fence.
type grant struct {
	agent  string
	number uint64
}

// grants checks grants as watchers were told of them, and returns all.
func (v *Verdict) grants(ops []history.Op) map[grant]history.Op {
	type stream struct {
		watcher int
		agent   string
	}
	granted := map[grant]history.Op{}
	last := map[stream]history.Op{}
	for _, op := range ops {
		if op.Kind != history.Granted {
			continue
		}
		v.Checked++
		at, by := grant{op.Agent, op.Epoch}, stream{op.Client, op.Agent}
		if before, ok := last[by]; ok && (op.Epoch <= before.Epoch || op.Revision <= before.Revision) {
			v.add("a fence does not rise: %s\n  and then %s", describe(before), describe(op))
		}
		last[by] = op
		if other, ok := granted[at]; ok && (other.Value != op.Value || other.Revision != op.Revision) {
			v.add("two watchers were told of different grants: %s\n  and %s", describe(other), describe(op))
		}
		granted[at] = op
	}
	for _, op := range ops {
		if _, ok := granted[grant{op.Agent, op.Epoch}]; op.Kind == history.Own && !ok {
			v.add("no watcher was told of the grant: %s", describe(op))
		}
	}
	return granted
}

// judged checks what the resource made of writes, in its own order, and whether
// their writers know it.
func (v *Verdict) judged(ops []history.Op, granted map[grant]history.Op) {
	newest := map[string]history.Op{} // that was accepted, of each lock
	judged := map[string]history.Op{}
	refused := 0
	for _, op := range ops {
		if op.Kind != history.Judged {
			continue
		}
		v.Checked++
		judged[op.Value] = op
		before, known := newest[op.Agent]
		_, is := granted[grant{op.Agent, op.Epoch}]
		switch accepted := op.Outcome == history.OK; {
		case accepted && known && op.Epoch < before.Epoch:
			v.add("an older fence was accepted: %s\n  after %s", describe(op), describe(before))
		case accepted && !is:
			v.add("a fence was accepted that was never granted: %s", describe(op))
		case accepted:
			newest[op.Agent] = op
		case !known || op.Epoch >= before.Epoch:
			v.add("a fence was refused, and no newer one was seen: %s", describe(op))
		default:
			refused++
		}
	}
	late := 0
	for _, op := range ops {
		is, known := judged[op.Value]
		if op.Kind == history.Write && op.Outcome == history.Unknown && known && is.Call > op.Return {
			late++
		}
		if op.Kind != history.Write || op.Outcome == history.Unknown {
			continue
		}
		if v.Checked++; !known || is.Outcome != op.Outcome {
			v.add("the resource does not know what its writer was told: %s", describe(op))
		}
	}
	if refused > 0 {
		v.note(fmt.Sprintf("%d writes with an old fence refused", refused))
	}
	if late > 0 {
		v.note(fmt.Sprintf("%d judged when their writer had given up", late))
	}
}
