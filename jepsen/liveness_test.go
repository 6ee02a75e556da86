// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// The client that fares worst counts, and a save that was begun before the fault
// shows nothing.
func TestProbing_Judge(t *testing.T) {
	s := func(call, end int) answered { return answered{seconds(call), seconds(end)} }
	for _, test := range []struct {
		name       string
		saves      [][]answered
		count      int
		first, gap int
	}{
		{"nobody saves", [][]answered{nil}, 0, 10, 10},
		{"begun before", [][]answered{{s(9, 11), s(11, 12)}}, 1, 2, 8},
		{"ends early", [][]answered{{s(10, 11), s(12, 13), s(14, 15)}}, 3, 1, 5},
		{"one of two waits", [][]answered{{s(10, 11), s(11, 12), s(12, 20)}, {s(13, 14), s(15, 16), s(19, 20)}}, 6, 4, 8},
	} {
		p := &probing{saves: test.saves}
		count, first, gap := p.judge(10*time.Second, 20*time.Second)
		if count != test.count || first != seconds(test.first) || gap != seconds(test.gap) {
			t.Errorf("%s: %d saves, the first after %s, gap %s; want %d, %d s, %d s", test.name, count, first, gap, test.count, test.first, test.gap)
		}
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
