// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"
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
		differ []string
	}{
		{"one of three differs", 1, m{"b": 1, "c": 2}, 3, true, sound, []string{"c"}},
		{"one other agrees, which is enough", 1, m{"b": 1}, 3, true, sound, nil},
		{"two of three have another one", 1, m{"b": 2, "c": 2}, 3, true, diverged, []string{"b", "c"}},
		{"one of three has another one, the third is silent", 1, m{"b": 2}, 3, true, undecided, []string{"b"}},
		{"all of three differ", 1, m{"b": 2, "c": 3}, 3, true, undecided, []string{"b", "c"}},
		{"two voters differ", 1, m{"b": 2}, 2, true, undecided, []string{"b"}},
		{"two voters agree", 1, m{"b": 1}, 2, true, sound, nil},
		{"half of four", 1, m{"b": 1, "c": 2, "d": 2}, 4, true, undecided, []string{"c", "d"}},
		{"three of four have another one", 1, m{"b": 2, "c": 2, "d": 2}, 4, true, diverged, []string{"b", "c", "d"}},
		{"three of five, two silent", 1, m{"b": 1, "c": 1}, 5, true, sound, nil},
		{"a lone voter", 1, m{}, 1, true, sound, nil},
		{"a standby like most voters", 1, m{"b": 1, "c": 1}, 3, false, sound, nil},
		{"a standby does not vote", 1, m{"b": 1, "c": 2}, 3, false, undecided, []string{"c"}},
		{"a standby unlike most voters", 1, m{"b": 2, "c": 2, "d": 1}, 3, false, diverged, []string{"b", "c"}},
		{"nobody answers", 1, m{}, 3, true, undecided, nil},
	} {
		what, differ := judge(c.own, c.others, c.voters, c.votes)
		if what != c.want || !slices.Equal(differ, c.differ) {
			t.Errorf("%s: verdict %d, differ %v; want %d, %v", c.name, what, differ, c.want, c.differ)
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
