// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import "testing"

// The cluster counts as full exactly while no majority of voters has room.
func TestDiskWatch_MajorityDecides(t *testing.T) {
	const gib = 1 << 30
	roomy, tight := space{free: 50 * gib, total: 100 * gib}, space{free: gib, total: 100 * gib}
	voters := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name  string
		known map[string]space
		want  bool
	}{
		{"nothing known", nil, false},
		{"all have room", map[string]space{"a": roomy, "b": roomy, "c": roomy}, false},
		{"one full", map[string]space{"a": tight, "b": roomy, "c": roomy}, false},
		{"two full", map[string]space{"a": tight, "b": tight, "c": roomy}, true},
		{"two full, one silent", map[string]space{"a": tight, "b": tight}, true},
		{"one full, two silent", map[string]space{"a": tight}, false},
		{"a full node that does not vote", map[string]space{"x": tight, "y": tight, "a": roomy}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newDiskWatch(0)
			for node, s := range tt.known {
				w.observe(node, s)
			}
			if got := w.full(voters); got != tt.want {
				t.Fatalf("full = %v, want %v", got, tt.want)
			}
		})
	}
}

// The mark is the larger of 5 % and 2 GiB, a fixed number, or nothing.
func TestDiskWatch_Mark(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		minFree int64
		total   uint64
		want    uint64
	}{
		{0, 100 * gib, 5 * gib}, {0, 10 * gib, 2 * gib}, {gib, 100 * gib, gib}, {-1, 100 * gib, 0},
	} {
		if got := newDiskWatch(tt.minFree).mark(tt.total); got != tt.want {
			t.Errorf("mark(%d) with min free %d = %d, want %d", tt.total, tt.minFree, got, tt.want)
		}
	}
}

// A removed node's disk is forgotten.
func TestDiskWatch_Forget(t *testing.T) {
	w := newDiskWatch(10)
	for _, node := range []string{"a", "b", "c"} {
		w.observe(node, space{free: 1, total: 100})
	}
	w.forget([]string{"a"})
	if w.full([]string{"b", "c"}) {
		t.Fatal("forgotten nodes still count")
	}
}

// The log kept for a member that is behind takes 8 GiB at most, and at most a
// fifth of the disk.
func TestKeepBehind(t *testing.T) {
	const gib = 1 << 30
	for total, want := range map[uint64]int64{0: 8 * gib, 10 * gib: 2 * gib, 40 * gib: 8 * gib, 1000 * gib: 8 * gib} {
		if got := keepBehind(total); got != want {
			t.Errorf("keepBehind(%d) = %d, want %d", total, got, want)
		}
	}
}
