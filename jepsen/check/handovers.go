// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hawserdb/hawser/jepsen/history"
)

const (
	handedOver = "handed over to "
	unclaimed  = "unclaimed"
)

// reasonOf is what watchers are told of why a claim ended that an operation took away.
func reasonOf(op history.Op) string {
	if op.Kind == history.Unclaim {
		return unclaimed + ": " + op.Value
	}
	return fmt.Sprintf("%s%q: %s", handedOver, op.To, op.Value)
}

// taken checks what took claims from their owners: if it was refused, no claim has
// ended for it; a claim that was handed over has ended, or was the other's already;
// none ends so unless somebody
// asked for it; and after a handover the agent goes to the instance that was named,
// if it still waits. It certainly does if the lease under which it waited before is
// granted the agent later: one that has left the queue does not come back.
func (v *Verdict) taken(ops []history.Op, all tenures) {
	asked := map[string]bool{}
	handed, went, opened := 0, 0, 0
	for _, op := range ops {
		if op.Kind != history.HandOver && op.Kind != history.Unclaim {
			continue
		}
		v.Checked++
		asked[reasonOf(op)] = true
		i := all.endedBy(op)
		switch {
		case op.Outcome == history.Failed && i >= 0:
			v.add("it was refused, and a claim has ended for it: %s\n  at %s", describe(op), describe(all[op.Agent][i].ended))
		case op.Kind == history.Unclaim:
			if op.Outcome == history.OK {
				opened++
			}
		case op.Outcome == history.OK && i < 0 && !all.hadAlready(ops, op):
			v.add("a claim was handed over, and has not ended: %s", describe(op))
		case i >= 0:
			handed++
			if all.goesTo(v, op, i) {
				went++
			}
		}
	}
	for _, list := range all {
		for _, t := range list {
			if r := t.ended.Reason; (strings.HasPrefix(r, handedOver) || strings.HasPrefix(r, unclaimed)) && !asked[r] {
				v.add("nobody asked for that: %s", describe(t.ended))
			}
		}
	}
	if handed+opened > 0 {
		v.note(fmt.Sprintf("%d claims handed over, %d of them to who had waited; %d unclaimed", handed, went, opened))
	}
}

// hadAlready reports whether nothing may have been left to do: somebody else has handed
// a claim over to the same instance, or it was its turn while op was under way.
func (t tenures) hadAlready(ops []history.Op, op history.Op) bool {
	return slices.ContainsFunc(t[op.Agent], func(one tenure) bool {
		return strings.HasPrefix(one.ended.Reason, fmt.Sprintf("%s%q: ", handedOver, op.To)) ||
			one.granted.To == op.To && one.granted.Call >= op.Call && notBefore(ops, one.granted.Revision) <= op.Return
	})
}

// goesTo reports whether the lease that op names came next after the tenure i, and
// adds what is wrong if it must have.
func (t tenures) goesTo(v *Verdict, op history.Op, i int) bool {
	list := t[op.Agent]
	if i+1 == len(list) {
		return false
	}
	if list[i+1].granted.Value == op.Lease {
		return true
	}
	for _, later := range list[i+2:] {
		if later.granted.Value == op.Lease {
			v.add("a claim was handed over to one who waited, and went to another: %s\n  at %s\n  and then %s\n  and only then %s",
				describe(op), describe(list[i].ended), describe(list[i+1].granted), describe(later.granted))
		}
	}
	return false
}
