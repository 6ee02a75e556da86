// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"slices"

	"github.com/hawserdb/hawser/fsm"
)

// keepMarks is how many marks a node remembers: four minutes of them at least,
// for voters that are behind, or ask late.
const keepMarks = 256

// marks are the newest marks of a node, oldest first.
type marks []fsm.Mark

func (m *marks) add(mark fsm.Mark) {
	if len(*m) == keepMarks {
		*m = append((*m)[:0], (*m)[1:]...)
	}
	*m = append(*m, mark)
}

// at returns the digest that the node had after an entry, if it remembers.
func (m marks) at(index uint64) (digest uint64, known bool) {
	for _, mark := range slices.Backward(m) {
		if mark.Index == index {
			return mark.Digest, true
		}
	}
	return 0, false
}
