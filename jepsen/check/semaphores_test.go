// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Claim: of a semaphore with two places, two who are certain at a time pass, three
// do not; nor do fences that do not rise, or are two clients'.
func TestSemaphores(t *testing.T) {
	base := []history.Op{
		at(0, 0, history.Op{Kind: history.Semaphore, Number: 2}),
		at(0, 0, hold(history.Granted, -1, 1)), at(1, 1, hold(history.Granted, -1, 2)), at(4, 4, hold(history.Granted, -1, 3)),
		at(0, 3, sure(3, own(1, 1))), at(1, 6, sure(6, own(2, 2))),
	}
	with := func(ops ...history.Op) []history.Op { return append(append([]history.Op{}, base...), ops...) }
	for name, tt := range map[string]struct {
		ops  []history.Op
		want string
	}{
		"two at a time":               {base, ""},
		"a third when one has gone":   {with(at(4, 7, sure(7, own(3, 3)))), ""},
		"a third too early":           {with(at(2, 7, sure(7, own(3, 3)))), "3 hold it at a time, and it has 2 places"},
		"a third that is not certain": {with(at(2, 7, own(3, 3))), ""},
		"one that learns late":        {append(append([]history.Op{}, base[:4]...), at(0, 9, paused(3, own(1, 1))), base[5], at(4, 7, sure(7, own(3, 3)))), ""},
		"seen in another order":       {with(at(5, 5, hold(history.Granted, -1, 4)), at(5, 5, own(4, 4)), at(6, 6, own(3, 3))), ""},
		"a lock has one place":        {base[1:], "it has 1 places"},
		"a fence of two":              {with(at(4, 5, own(3, 2))), "two clients'"},
		"the same fence again":        {with(at(5, 5, hold(history.Granted, -1, 3))), "does not rise"},
		"held, never granted":         {with(at(7, 8, own(3, 4))), "no watcher"},
	} {
		v := Semaphores(tt.ops)
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
