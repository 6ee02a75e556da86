// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Semaphores checks locks that several may hold: fences rise from one grant to the
// next, in the order of the log, and each is one client's; each was granted before
// it was held; and no more than there are places are certain at a time that they
// hold one.
func Semaphores(ops []history.Op) Verdict {
	v := Verdict{Name: "semaphores"}
	v.grants(ops)
	owned, places := v.numbers(ops), placesOf(ops)
	most := 0
	for _, agent := range slices.Sorted(maps.Keys(owned)) {
		for _, op := range owned[agent] {
			certain := certainAt(owned[agent], op)
			most = max(most, len(certain))
			if len(certain) > places.of(agent) {
				v.add("%d hold it at a time, and it has %d places: %s", len(certain), places.of(agent), describeAll(certain))
			}
		}
	}
	if most > 0 {
		v.note(fmt.Sprintf("up to %d held one at a time", most))
	}
	return v
}

// certainAt returns those who are certain to hold something when op begins to.
func certainAt(owned []history.Op, op history.Op) (certain []history.Op) {
	for _, other := range owned {
		if other.Call <= op.Call && op.Call < other.Sure {
			certain = append(certain, other)
		}
	}
	return certain
}

func describeAll(ops []history.Op) (text string) {
	for _, op := range ops {
		text += "\n  " + describe(op)
	}
	return text
}

// places is how many may hold what more than one may hold.
type places map[string]int

func placesOf(ops []history.Op) places {
	p := places{}
	for _, op := range ops {
		if op.Kind == history.Semaphore {
			p[op.Agent] = int(op.Number)
		}
	}
	return p
}

func (p places) of(agent string) int { return max(1, p[agent]) }
