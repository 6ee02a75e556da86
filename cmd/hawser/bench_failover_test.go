// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// Claim: the longest gap is the longest between neighbours in time, whatever
// the order in which acknowledgements are told, and the time before the first
// and after the last count too; what came before the start does not.
func TestAcknowledgements_LongestGap(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		name      string
		acks      []int
		now       int
		gap, from int
	}{
		{"none", nil, 70, 70, 0},
		{"the start is ahead", []int{-40, -10}, -5, 0, 0},
		{"before the first", []int{30, 40}, 50, 30, 0},
		{"in the middle", []int{10, 20, 60, 70}, 80, 40, 20},
		{"after the last", []int{10, 20}, 60, 40, 20},
		{"the first of two equal ones", []int{10, 30, 50}, 55, 20, 10},
		{"out of order", []int{10, 30, 29, 40}, 41, 20, 10},
		{"earlier than the start", []int{-50, 20}, 25, 20, 0},
	} {
		var a acknowledgements
		a.restart(at(0))
		for _, ms := range test.acks {
			a.add(at(ms))
		}
		gap, from := a.longest(at(test.now))
		if gap != time.Duration(test.gap)*time.Millisecond || !from.Equal(at(test.from)) {
			t.Errorf("%s: %v from %v, want %d ms from %d ms", test.name, gap, from.Sub(start), test.gap, test.from)
		}
	}
}

// Claim: a restart forgets the gaps before it.
func TestAcknowledgements_Restart(t *testing.T) {
	now := time.Now()
	var a acknowledgements
	a.restart(now)
	a.add(now.Add(time.Second))
	a.restart(now.Add(2 * time.Second))
	if gap, _ := a.longest(now.Add(2*time.Second + time.Millisecond)); gap != time.Millisecond {
		t.Errorf("gap %v", gap)
	}
}

// Claim: the result has the documented keys' meaning, in their units.
func TestSummariseFailover(t *testing.T) {
	got := summariseFailover(benchResult{Clients: 4, Size: 64, DurationS: 5, Ops: 10, P50: 1, P99: 3, Max: 4, Errors: 2},
		250*time.Millisecond, 1500*time.Millisecond)
	want := failoverResult{
		Clients: 4, Size: 64, DurationS: 5, Writes: 10, Errors: 2, P50: 1, P99: 3, Max: 4, LongestGap: 250, LongestGapAt: 1.5,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
