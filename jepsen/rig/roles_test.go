// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import "testing"

// No more than a minority may be robbed of data at one time, whatever faults come
// together; all nodes may lose their power, alone.
func TestRoles_Risk(t *testing.T) {
	for _, test := range []struct {
		name        string
		size        int
		held, nodes []int
		want        bool
	}{
		{"the first of three", 3, nil, []int{1}, true},
		{"the same again", 3, []int{1}, []int{1}, true},
		{"a second of three", 3, []int{1}, []int{2}, false},
		{"all, alone", 3, nil, []int{2, 0, 1}, true},
		{"all after one", 3, []int{0}, []int{2, 0, 1}, false},
		{"one after all", 3, []int{2, 0, 1}, []int{0}, false},
		{"a second of five", 5, []int{1}, []int{4}, true},
		{"a third of five", 5, []int{1, 4}, []int{0}, false},
	} {
		r := newRoles(test.size, test.size+1)
		if test.held != nil && !r.risk(test.held) {
			t.Fatalf("%s: %v is refused", test.name, test.held)
		}
		if got := r.risk(test.nodes); got != test.want {
			t.Errorf("%s: risk(%v) with %v at risk is %v, want %v", test.name, test.nodes, test.held, got, test.want)
		}
		r.safe(test.held)
		if test.want {
			r.safe(test.nodes)
		}
		if i := r.atRisk(); i >= 0 {
			t.Errorf("%s: node %d is still at risk", test.name, i)
		}
	}
}

func TestPlace_RefusesWith(t *testing.T) {
	for _, test := range []struct {
		place place
		code  int
		want  bool
	}{
		{place{}, 15, false},
		{place{damaged: 1}, 15, true},
		{place{damaged: 1}, 2, false}, // a panic is no refusal
		{place{damaged: 1}, 17, false},
		{place{removed: true}, 17, true},
		{place{removed: true}, 15, false},
	} {
		if got := test.place.refusesWith(test.code); got != test.want {
			t.Errorf("%+v refuses with code %d: %v, want %v", test.place, test.code, got, test.want)
		}
	}
}
