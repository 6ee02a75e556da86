// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Linearizable checks that saves and restores of heads took effect one after
// the other between their calls and their answers (G2), each agent for itself,
// within a time. Running out of it is inconclusive.
//
// Herlihy and Wing, "Linearizability", 1990; the search is porcupine's.
func Linearizable(ops []history.Op, within time.Duration) Verdict {
	v := Verdict{Name: "linearizable"}
	var events []porcupine.Operation
	for _, op := range ops {
		if e, ok := event(op); ok {
			events = append(events, e)
		}
	}
	v.Checked = len(events)
	result, info := porcupine.CheckOperationsVerbose(headModel, events, within)
	switch result {
	case porcupine.Unknown:
		v.Inconclusive = fmt.Sprintf("no order was found or excluded within %s", within)
	case porcupine.Illegal:
		v.add("no order of the operations explains their answers; the picture shows which")
		var page bytes.Buffer
		if err := porcupine.Visualize(headModel, info, &page); err == nil {
			v.Picture = page.Bytes()
		}
	case porcupine.Ok:
	}
	return v
}

// event returns an operation as porcupine takes it. One that was not executed
// says nothing, and neither does a read that was not answered, or may be old.
func event(op history.Op) (porcupine.Operation, bool) {
	reads := op.Kind == history.Restore
	switch {
	case !reads && !op.MakesVersion() && op.Kind != history.Delete, reads && op.Number != 0, op.Stale:
		return porcupine.Operation{}, false
	case op.Outcome == history.Failed && !op.Conflict, op.Outcome == history.Unknown && reads:
		return porcupine.Operation{}, false
	}
	end := int64(op.Return)
	if op.Outcome == history.Unknown {
		end = math.MaxInt64 // it may take effect at any time from its call on
	}
	return porcupine.Operation{ClientId: op.Client, Input: op, Output: op, Call: int64(op.Call), Return: end}, true
}

// head is the state of an agent: its version, 0 while it is deleted, and the number
// that was used last.
type head struct {
	version, last uint64
	value         string
}

var headModel = porcupine.Model{
	Partition: func(events []porcupine.Operation) (parts [][]porcupine.Operation) {
		index := map[string]int{}
		for _, e := range events {
			agent := e.Input.(history.Op).Agent
			i, ok := index[agent]
			if !ok {
				i = len(parts)
				index[agent] = i
				parts = append(parts, nil)
			}
			parts[i] = append(parts[i], e)
		}
		return parts
	},
	Init: func() any { return head{} },
	Step: func(state, input, _ any) (bool, any) {
		ok, next := state.(head).step(input.(history.Op))
		return ok, next
	},
	DescribeOperation: func(input, _ any) string { return describe(input.(history.Op)) },
	DescribeState: func(state any) string {
		return fmt.Sprintf("version %d %q", state.(head).version, state.(head).value)
	},
}

// step reports whether an operation may take effect now, and what follows.
func (h head) step(op history.Op) (bool, head) {
	meets := op.Expect == nil || *op.Expect == h.version
	switch {
	case op.Kind == history.Restore:
		return op.Version == h.version && op.Value == h.value, h
	case op.Conflict:
		return !meets && op.Version == h.version, h
	case op.Outcome == history.Unknown && !meets:
		return true, h // it fails, and nobody is told
	case op.Kind == history.Delete:
		return meets, head{last: h.last + 1}
	case op.Outcome == history.Unknown:
		return true, head{h.last + 1, h.last + 1, op.Value}
	}
	return meets && op.Version == h.last+1, head{op.Version, op.Version, op.Value}
}
