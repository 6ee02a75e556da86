// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"maps"
	"slices"
)

// Told is that a watcher was told of a version.
type Told struct {
	Revision uint64
	Agent    string
	Number   uint64
}

// Watches checks what watchers were told from the beginning to the end (G6):
// every version once, at its revision, in order, and nothing else. Of those that
// were deleted since nobody knows any more.
func Watches(watchers map[string][]Told, final Final) Verdict {
	v := Verdict{Name: "watches"}
	nodes := slices.Sorted(maps.Keys(final))
	if len(nodes) == 0 {
		v.Inconclusive = "no node told what it has"
		return v
	}
	var there []Told
	for agent, chain := range final[nodes[0]] {
		for i, made := range chain {
			if made == (Version{}) {
				continue // it was deleted
			}
			there = append(there, Told{made.Revision, agent, uint64(i + 1)})
		}
	}
	order := func(a, b Told) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Number, b.Number))
	}
	slices.SortFunc(there, order)
	for _, name := range slices.Sorted(maps.Keys(watchers)) {
		told := watchers[name]
		v.Checked += len(told)
		for i := 1; i < len(told); i++ {
			if told[i].Revision < told[i-1].Revision {
				v.add("watcher %s was told of %+v after %+v", name, told[i], told[i-1])
			}
		}
		told = slices.DeleteFunc(slices.Clone(told), func(t Told) bool {
			chain, ok := final[nodes[0]][t.Agent]
			return ok && (len(chain) == 0 || t.Number <= uint64(len(chain)) && chain[t.Number-1] == Version{})
		})
		slices.SortFunc(told, order) // those of one revision come in any order
		v.difference(name, told, there)
	}
	return v
}

// difference reports where two sorted lists differ.
func (v *Verdict) difference(name string, told, there []Told) {
	for len(told) > 0 || len(there) > 0 {
		switch {
		case len(there) == 0 || len(told) > 0 && told[0].Revision < there[0].Revision:
			v.add("watcher %s was told of %+v, which is not there, or was told before", name, told[0])
			told = told[1:]
		case len(told) == 0 || told[0].Revision > there[0].Revision:
			v.add("watcher %s was not told of %+v", name, there[0])
			there = there[1:]
		case told[0] != there[0]:
			v.add("watcher %s was told of %+v, and there is %+v", name, told[0], there[0])
			told, there = told[1:], there[1:]
		default:
			told, there = told[1:], there[1:]
		}
	}
}
