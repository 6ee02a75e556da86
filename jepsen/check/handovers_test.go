// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/jepsen/history"
)

// grantTo is a grant of a number to a lease, at ten times that revision.
func grantTo(lease string, number uint64) history.Op {
	op := hold(history.Granted, -1, number)
	op.Value, op.To = lease, "of "+lease
	return op
}

// handOver hands a claim over to the instance i, which waited under a lease.
func handOver(lease string) history.Op {
	return history.Op{Kind: history.HandOver, Client: 9, To: "i", Lease: lease, Value: "h"}
}

const handed = `handed over to "i": h`

// Claim: a claim that is taken from its owner for another instance ends, and goes to
// it if it waits; histories in which it does not are found.
func TestFencing_HandedOver(t *testing.T) {
	granted, next, later := at(0, 0, grantTo("k", 1)), at(4, 4, grantTo("l", 3)), at(8, 8, grantTo("l", 5))
	other := at(4, 4, grantTo("m", 3))
	taken, back := at(3, 3, ended(-1, 1, handed)), at(7, 7, ended(-1, 3, "released"))
	ours := at(2, 3, handOver("l"))
	// It was its turn: to i before the handover began, while it went on, after it.
	turn := func(second int) history.Op {
		op := at(second, second, grantTo("l", 3))
		op.To = "i"
		return op
	}
	released := at(1, 1, ended(-1, 1, "released"))
	// What was called at second 4 is of revision 29: the second grant came later.
	early := at(4, 4, restore("x", 0))
	early.Revision = 29
	again := at(2, 3, func() history.Op { o := handOver("l"); o.Value = "h2"; return o }())
	elsewhere := at(2, 3, func() history.Op { o := handOver("l"); o.To, o.Value = "j", "h3"; return o }())
	for name, tt := range map[string]struct {
		ops  []history.Op
		want string
	}{
		"to the one that waits":        {[]history.Op{granted, ours, taken, next}, ""},
		"to another, it waits still":   {[]history.Op{granted, ours, taken, other, back, later}, "went to another"},
		"to another, it waits no more": {[]history.Op{granted, ours, taken, other}, ""},
		"nobody has come yet":          {[]history.Op{granted, ours, taken}, ""},
		"unknown, and done":            {[]history.Op{granted, unknown(ours), taken, next}, ""},
		"unknown, done, to another":    {[]history.Op{granted, unknown(ours), taken, other, back, later}, "went to another"},
		"unknown, and not done":        {[]history.Op{granted, unknown(ours), at(3, 3, ended(-1, 1, "expired")), other}, ""},
		"refused":                      {[]history.Op{granted, refusal(ours), at(3, 3, ended(-1, 1, "released")), other, back, later}, ""},
		"refused, and done":            {[]history.Op{granted, refusal(ours), taken, next}, "it was refused"},
		"told, and not done":           {[]history.Op{granted, ours, at(3, 3, ended(-1, 1, "released")), next}, "has not ended"},
		"somebody else has done it":    {[]history.Op{granted, ours, again, taken, next}, ""},
		"to another instance":          {[]history.Op{granted, ours, elsewhere, taken, next}, "has not ended"},
		"it was its turn":              {[]history.Op{granted, ours, released, turn(3)}, ""},
		"it has had its turn":          {[]history.Op{granted, ours, released, turn(1)}, "has not ended"},
		"it is its turn afterwards":    {[]history.Op{granted, ours, released, early, turn(5)}, "has not ended"},
		"another's turn":               {[]history.Op{granted, ours, released, other}, "has not ended"},
		"nobody asked for it":          {[]history.Op{granted, taken, next}, "nobody asked"},
	} {
		v := Fencing(tt.ops, nil)
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// Claim: an agent takes a save without a claim while it is unclaimed, and at no time
// else, as far as one who does not know the revision of an unclaim can tell.
func TestFencing_Unclaimed(t *testing.T) {
	unclaim := func(call, end int) history.Op {
		return at(call, end, history.Op{Kind: history.Unclaim, Client: 9, Value: "u"})
	}
	// It is owned from revision 10 to 20, and from 30 on.
	owned := []history.Op{at(1, 1, grantTo("k", 1)), at(4, 4, ended(-1, 1, "unclaimed: u")), at(7, 7, grantTo("l", 3))}
	released := slices.Clip(slices.Clone(owned))
	released[1] = at(4, 4, ended(-1, 1, "released"))
	// What was called at second 6 is of revision 29: the second grant came later.
	early := at(6, 6, restore("x", 0))
	early.Revision = 29
	open := at(5, 6, save("z", 0)) // the checker has its revision from the node
	for name, tt := range map[string]struct {
		ops      []history.Op
		revision uint64
		want     string
	}{
		"while it is open":            {append(owned, unclaim(3, 4), open), 25, ""},
		"before its first owner":      {append(owned, unclaim(3, 4), open), 5, ""},
		"while it is owned":           {append(owned, unclaim(3, 4), open), 15, "it had an owner"},
		"owned again":                 {append(owned, unclaim(3, 4), open), 35, "it had an owner"},
		"owned again, and released":   {append(owned, unclaim(3, 4), early, open, at(9, 9, ended(-1, 3, "released"))), 45, "nobody unclaimed it since"},
		"nobody unclaimed it":         {append(released, open), 25, "nobody unclaimed it since"},
		"opened when it had no owner": {append(released, unclaim(4, 5), open), 25, ""},
		"refused to open it":          {append(released, refusal(unclaim(4, 5)), open), 25, "nobody unclaimed it since"},
		"perhaps opened":              {append(released, unknown(unclaim(4, 5)), open), 25, ""},
		"perhaps opened long ago":     {append(released, unknown(unclaim(0, 1)), open), 25, ""},
		"opened too late":             {append(released, unclaim(8, 9), open), 25, "nobody unclaimed it since"},
		"opened before its owner":     {append(released, unclaim(2, 5), early, open, at(9, 9, ended(-1, 3, "released"))), 45, "nobody unclaimed it since"},
		"unanswered, opened later":    {append(released, unclaim(8, 9), unknown(open)), 25, ""},
	} {
		v := Fencing(tt.ops, Final{"n1": {"a": {{Value: "z", Revision: tt.revision}}}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
