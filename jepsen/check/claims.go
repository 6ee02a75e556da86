// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Fencing checks agents that are written to by their owners, or while they are open
// to everybody (G4): epochs never go back from version to version and rise with each
// grant and each end, each version is of the client that owned that epoch and lies
// between its grant and its end in the log, each epoch is one client's, and no two
// own an agent at a time. A version of no epoch was saved when nobody owned the
// agent, and somebody had unclaimed it since its last owner, or it never had one. A
// claim that is handed over goes to the instance that was named, if it still waits.
func Fencing(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "fencing"}
	f := fences{ops: ops, saved: map[string]history.Op{}, tenures: tenuresOf(ops)}
	for _, op := range ops {
		if op.Kind != history.Save {
			continue
		}
		if f.saved[op.Value] = op; op.Deposed && op.Outcome == history.OK {
			v.add("it had been given back: %s", describe(op))
		}
	}
	v.owners(ops)
	v.grants(ops)
	v.rise(f.tenures)
	v.taken(ops, f.tenures)
	open := 0
	for _, node := range slices.Sorted(maps.Keys(final)) {
		for _, agent := range slices.Sorted(maps.Keys(final[node])) {
			open = max(open, f.chain(&v, node, agent, final[node][agent]))
		}
	}
	if open > 0 {
		v.note(fmt.Sprintf("%d versions of an agent that was open", open))
	}
	return v
}

// fences is what a history tells of who might save when.
type fences struct {
	ops     []history.Op
	saved   map[string]history.Op
	tenures tenures
}

// chain checks what a node has of an agent, and returns how many versions are of no
// epoch.
func (f *fences) chain(v *Verdict, node, agent string, chain Chain) (open int) {
	last := uint64(0)
	for i, made := range chain {
		v.Checked++
		op, known := f.saved[made.Value]
		is := fmt.Sprintf("node %s: version %d of agent %s", node, i+1, agent)
		switch {
		case known && op.Epoch != made.Epoch:
			v.add("%s is of epoch %d, but: %s", is, made.Epoch, describe(op))
		case made.Epoch == 0:
			open++
			if why := f.closed(agent, made, op); why != "" {
				v.add("%s is of nobody who owned it, and it was not open: %s", is, why)
			}
		case made.Epoch < last:
			v.add("%s is of epoch %d, one before it of %d", is, made.Epoch, last)
		default:
			if t := f.tenures.of(agent, made.Epoch); t == nil || !t.has(made.Revision) {
				v.add("%s is of epoch %d, which did not last at revision %d: %+v", is, made.Epoch, made.Revision, t)
			}
		}
		last = max(last, made.Epoch)
	}
	return open
}

// closed is why an agent cannot have been open to a save without a claim, "" if it
// can. When an unclaim was executed that has ended no claim is not told; it may be
// at any time of its call.
func (f *fences) closed(agent string, made Version, save history.Op) string {
	last := f.tenures.before(agent, made.Revision)
	if last == nil {
		return "" // it never had an owner
	}
	if !last.over(made.Revision) {
		return "it had an owner: " + describe(last.granted)
	}
	claimed := notBefore(f.ops, last.granted.Revision)
	for _, op := range f.ops {
		if op.Kind != history.Unclaim || op.Agent != agent || op.Outcome == history.Failed {
			continue
		}
		if i := f.tenures.endedBy(op); i >= 0 {
			if f.tenures[agent][i].granted.Epoch == last.granted.Epoch {
				return ""
			}
			continue
		}
		begun := save.Outcome != history.OK || op.Call < save.Return
		if begun && (op.Outcome == history.Unknown || op.Return > claimed) {
			return ""
		}
	}
	return "nobody unclaimed it since " + describe(last.granted)
}

// rise checks that each end of a claim takes a number too: what was seen while one
// was owned tells nothing of a later time.
func (v *Verdict) rise(all tenures) {
	for _, agent := range slices.Sorted(maps.Keys(all)) {
		list := all[agent]
		for i := 1; i < len(list); i++ {
			if before, after := list[i-1].granted, list[i].granted; after.Epoch < before.Epoch+2 {
				v.add("an epoch does not rise with the end: %s\n  and then %s", describe(before), describe(after))
			}
		}
	}
}
