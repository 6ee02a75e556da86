// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"testing"
)

func TestJudge(t *testing.T) {
	type m = map[string]uint64
	for _, c := range []struct {
		name   string
		own    uint64
		others m
		voters int
		votes  bool
		want   verdict
	}{
		{"one of three differs", 1, m{"b": 1, "c": 2}, 3, true, sound},
		{"one other agrees, which is enough", 1, m{"b": 1}, 3, true, sound},
		{"two of three have another one", 1, m{"b": 2, "c": 2}, 3, true, diverged},
		{"one of three has another one, the third is silent", 1, m{"b": 2}, 3, true, undecided},
		{"all of three differ", 1, m{"b": 2, "c": 3}, 3, true, undecided},
		{"two voters differ", 1, m{"b": 2}, 2, true, undecided},
		{"two voters agree", 1, m{"b": 1}, 2, true, sound},
		{"half of four", 1, m{"b": 1, "c": 2, "d": 2}, 4, true, undecided},
		{"three of four have another one", 1, m{"b": 2, "c": 2, "d": 2}, 4, true, diverged},
		{"three of five, two silent", 1, m{"b": 1, "c": 1}, 5, true, sound},
		{"a lone voter", 1, m{}, 1, true, sound},
		{"a standby like most voters", 1, m{"b": 1, "c": 1}, 3, false, sound},
		{"a standby does not vote", 1, m{"b": 1, "c": 2}, 3, false, undecided},
		{"a standby unlike most voters", 1, m{"b": 2, "c": 2, "d": 1}, 3, false, diverged},
		{"nobody answers", 1, m{}, 3, true, undecided},
	} {
		if what := judge(c.own, c.others, c.voters, c.votes); what != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, what, c.want)
		}
	}
}

// What is asked about may be as old as the newest keepMarks audits.
func TestMarks(t *testing.T) {
	var m marks
	for i := range uint64(3 * keepMarks) {
		m.add(mark(10*i, fmt.Sprint(i)))
		for back := range min(i+1, keepMarks) {
			if got, known := m.at(10 * (i - back)); !known || got != mark(0, fmt.Sprint(i-back)).Digest {
				t.Fatalf("after %d marks: the one %d back is %x, %v", i+1, back, got, known)
			}
		}
	}
	for _, index := range []uint64{0, 10 * (2*keepMarks - 1), 10*(3*keepMarks-1) + 1, 1 << 60} {
		if got, known := m.at(index); known {
			t.Errorf("%d: %x", index, got)
		}
	}
	if cap(m) > 2*keepMarks {
		t.Errorf("marks take room for %d", cap(m))
	}
}
