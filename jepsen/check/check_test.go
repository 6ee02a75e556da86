// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/jepsen/history"
)

// at is an operation from one second to another.
func at(call, end int, op history.Op) history.Op {
	op.Agent, op.Call, op.Return = "a", time.Duration(call)*time.Second, time.Duration(end)*time.Second
	if op.Outcome == "" {
		op.Outcome = history.OK
	}
	return op
}

func save(value string, version uint64) history.Op {
	return history.Op{Kind: history.Save, Value: value, Version: version, Revision: version}
}

func remove(head uint64) history.Op { return expecting(head, history.Op{Kind: history.Delete}) }

func rollback(value string, number, version uint64) history.Op {
	return history.Op{Kind: history.Rollback, Number: number, Value: value, Version: version, Revision: version}
}

func restore(value string, version uint64) history.Op {
	return history.Op{Kind: history.Restore, Value: value, Version: version, Revision: version}
}

func expecting(expect uint64, op history.Op) history.Op {
	op.Expect = &expect
	return op
}

func unknown(op history.Op) history.Op {
	op.Outcome, op.Version, op.Revision = history.Unknown, 0, 0
	return op
}

func refused(head uint64, op history.Op) history.Op {
	op.Outcome, op.Conflict, op.Version = history.Failed, true, head
	return op
}

// Claim: histories that the promise allows pass, others do not.
func TestLinearizable(t *testing.T) {
	for name, tt := range map[string]struct {
		ops  []history.Op
		good bool
	}{
		"one after the other":           {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, restore("y", 2))}, true},
		"nothing there":                 {[]history.Op{at(0, 1, restore("", 0)), at(2, 3, save("x", 1))}, true},
		"old read":                      {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, restore("x", 1))}, false},
		"old read, allowed to be":       {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, func() history.Op { o := restore("x", 1); o.Stale = true; return o }())}, true},
		"overlapping":                   {[]history.Op{at(0, 9, save("x", 2)), at(1, 8, save("y", 1)), at(2, 3, restore("y", 1)), at(4, 5, restore("x", 2))}, true},
		"overlapping, read backwards":   {[]history.Op{at(0, 9, save("x", 2)), at(1, 8, save("y", 1)), at(2, 3, restore("x", 2)), at(4, 5, restore("y", 1))}, false},
		"lost":                          {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, restore("", 0))}, false},
		"number given twice":            {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 1))}, false},
		"gap":                           {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 3))}, false},
		"condition holds":               {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, expecting(1, save("y", 2)))}, true},
		"condition ignored":             {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, expecting(1, save("z", 3)))}, false},
		"rightly refused":               {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, refused(1, expecting(0, save("y", 0)))), at(4, 5, restore("x", 1))}, true},
		"wrongly refused":               {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, refused(1, expecting(1, save("y", 0))))}, false},
		"refused and done":              {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, refused(1, expecting(0, save("y", 0)))), at(4, 5, restore("y", 2))}, false},
		"unknown and done":              {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("x", 1))}, true},
		"unknown and never done":        {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("", 0)), at(4, 5, save("y", 1))}, true},
		"unknown and done much later":   {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("", 0)), at(4, 5, restore("x", 1))}, true},
		"unknown and undone":            {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("x", 1)), at(4, 5, restore("", 0))}, false},
		"deleted, and made anew":        {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, remove(1)), at(4, 5, restore("", 0)), at(6, 7, expecting(0, save("y", 3))), at(8, 9, restore("y", 3))}, true},
		"deleted, and still there":      {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, remove(1)), at(4, 5, restore("x", 1))}, false},
		"a deleted number again":        {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, remove(1)), at(4, 5, save("y", 1))}, false},
		"another head deleted":          {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, remove(1))}, false},
		"delete, rightly refused":       {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, refused(2, remove(1))), at(6, 7, restore("y", 2))}, true},
		"delete unknown, and done":      {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, unknown(remove(1))), at(4, 5, restore("", 0))}, true},
		"delete unknown, and not done":  {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, unknown(remove(1))), at(4, 5, restore("x", 1)), at(6, 7, save("y", 2))}, true},
		"rolled back":                   {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, expecting(2, rollback("x", 1, 3))), at(6, 7, restore("x", 3))}, true},
		"rolled back to another":        {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, expecting(2, rollback("x", 1, 3))), at(6, 7, restore("y", 3))}, false},
		"unknown, done before its call": {[]history.Op{at(0, 1, restore("x", 1)), at(2, 3, unknown(save("x", 0)))}, false},
	} {
		if v := Linearizable(tt.ops, time.Minute); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestRevisions(t *testing.T) {
	stale := restore("x", 1)
	stale.Stale = true
	for name, tt := range map[string]struct {
		ops  []history.Op
		good bool
	}{
		"in order":                 {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, restore("y", 2))}, true},
		"overlapping writes":       {[]history.Op{at(0, 3, save("x", 2)), at(1, 2, save("y", 1))}, true},
		"write out of order":       {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, save("y", 1))}, false},
		"one revision, two writes": {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 1))}, false},
		"read behind a write":      {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, restore("w", 1))}, false},
		"read behind a read":       {[]history.Op{at(0, 1, restore("x", 2)), at(2, 3, restore("w", 1))}, false},
		"stale read":               {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, stale)}, true},
		"as old as was asked for":  {[]history.Op{at(2, 3, least(1, stale))}, true},
		"older than asked for":     {[]history.Op{at(2, 3, least(2, stale))}, false},
		"stale, of the future":     {[]history.Op{at(0, 1, stale), at(2, 3, save("x", 1))}, false},
		"read behind a stale read": {[]history.Op{at(0, 1, func() history.Op { o := restore("x", 2); o.Stale = true; return o }()), at(2, 3, restore("w", 1))}, false},
		"rolled back out of order": {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, rollback("x", 1, 1))}, false},
	} {
		if v := Revisions(tt.ops); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func least(revision uint64, op history.Op) history.Op {
	op.Least = revision
	return op
}

// chain is the versions of an agent, each at the revision of its number.
func chain(values ...string) Chain {
	c := make(Chain, len(values))
	for i, value := range values {
		c[i] = Version{Value: value, Revision: uint64(i + 1), Parent: uint64(i)}
	}
	return c
}

func with(c Chain, i int, change func(*Version)) Chain {
	change(&c[i])
	return c
}

// Claim: a version that was made is not denied later, unless it may be deleted; and a
// save does not meet with nothing.
func TestVersions_Denied(t *testing.T) {
	denied := history.Op{Kind: history.Restore, Agent: "a", Number: 1, Outcome: history.OK}
	nothing := refused(0, save("z", 0))
	nothing.Code = hawser.CodeNotFound
	bad := refused(0, save("z", 0))
	bad.Code = hawser.CodeInvalid
	made := at(0, 1, save("x", 1))
	for name, tt := range map[string]struct {
		ops  []history.Op
		want string
	}{
		"after it was made":      {[]history.Op{made, at(2, 3, denied)}, "not found that was there"},
		"while it is made":       {[]history.Op{made, at(0, 3, denied)}, ""},
		"before":                 {[]history.Op{at(0, 1, denied), at(2, 3, save("x", 1))}, ""},
		"perhaps deleted":        {[]history.Op{made, at(2, 3, unknown(remove(1))), at(4, 5, denied)}, ""},
		"a save of nothing":      {[]history.Op{made, at(2, 3, nothing)}, "there is nothing"},
		"a save that is invalid": {[]history.Op{made, at(2, 3, bad)}, "valid was refused"},
	} {
		v := Versions(tt.ops, Final{"n1": {"a": chain("x")}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestVersions(t *testing.T) {
	ops := []history.Op{at(0, 1, save("x", 1)), at(2, 3, unknown(save("y", 0))), at(4, 5, refused(2, expecting(0, save("z", 0)))), at(6, 7, save("w", 3))}
	for name, tt := range map[string]struct {
		chain Chain
		want  string
	}{
		"as told":         {chain("x", "y", "w"), ""},
		"lost":            {chain("x", "y"), "has 2 versions"},
		"another content": {chain("y", "x", "w"), `Value:y Revision:1`},
		"doubled":         {chain("x", "x", "w"), "twice"},
		"made up":         {chain("x", "v", "w"), "nobody saved"},
		"refused":         {chain("x", "z", "w"), "refused"},
		"a hole":          {chain("x", "", "w"), "nobody saved"},
		"revisions fall":  {with(chain("x", "y", "w"), 1, func(v *Version) { v.Revision = 9 }), "at revision 3, and the one before at 9"},
		"another parent":  {with(chain("x", "y", "w"), 2, func(v *Version) { v.Parent = 1 }), "after version 1, and not after 2"},
		"no parent":       {with(chain("x", "y", "w"), 1, func(v *Version) { v.Parent = 0 }), "after version 0, and not after 1"},
		"a first parent":  {with(chain("x", "y", "w"), 0, func(v *Version) { v.Parent = 7 }), "after version 7, and not after 0"},
	} {
		v := Versions(ops, Final{"n1": {"a": tt.chain}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestTimes(t *testing.T) {
	began := time.Unix(1e9, 0)
	at := func(call, revision, machine int) history.Op {
		return history.Op{
			Kind: history.Save, Outcome: history.OK, Revision: uint64(revision),
			Call: time.Duration(call) * time.Second, Return: time.Duration(call+1) * time.Second, Machine: began.Add(time.Duration(machine) * time.Second).UnixNano(),
		}
	}
	for name, tt := range map[string]struct {
		ops  []history.Op
		want string
	}{
		"as it should be":    {[]history.Op{at(0, 1, 0), at(30, 2, 30), at(30, 3, 30), at(60, 4, 55)}, ""},
		"in another order":   {[]history.Op{at(1, 2, 2), at(0, 1, 1)}, ""},
		"back":               {[]history.Op{at(0, 1, 2), at(1, 2, 1)}, "goes back"},
		"an hour ahead":      {[]history.Op{at(0, 1, 3600)}, "ahead"},
		"an hour behind":     {[]history.Op{at(0, 1, -3600)}, "behind"},
		"unknown is no time": {[]history.Op{at(0, 1, 1), unknown(at(9, 0, 0))}, ""},
	} {
		v := Times(tt.ops, began)
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// Claim: what a delete removed may be missing, and must be; a rollback doubles one
// value once.
func TestVersions_DeletesAndRollbacks(t *testing.T) {
	anew := chain("", "", "y")
	anew[0], anew[1], anew[2].Parent = Version{}, Version{}, 0
	deleted := []history.Op{at(0, 1, save("x", 1)), at(2, 3, remove(1)), at(4, 5, save("y", 3))}
	maybe := []history.Op{at(0, 1, save("x", 1)), at(2, 3, unknown(remove(1))), at(4, 5, save("y", 3)), at(4, 5, unknown(save("z", 2)))}
	back := []history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, rollback("x", 1, 3))}
	for name, tt := range map[string]struct {
		ops   []history.Op
		chain Chain
		want  string
	}{
		"deleted":                   {deleted, anew, ""},
		"deleted, and there":        {deleted, chain("x", "z", "y"), "was deleted"},
		"missing without a delete":  {append([]history.Op{}, deleted[0], deleted[2]), anew, "nobody saved"},
		"perhaps deleted, and gone": {maybe, anew, ""},
		"perhaps deleted, and not":  {maybe, chain("x", "z", "y"), ""},
		"gone after the delete":     {deleted, anew[:2], "has 2 versions"},
		"a delete that is too late": {append([]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2))}, at(4, 5, unknown(remove(1)))), Chain{{}, {}}, "nobody saved"},
		"rolled back":               {back, chain("x", "y", "x"), ""},
		"rolled back to another":    {back, chain("x", "y", "y"), "twice"},
		"rolled back twice":         {back, chain("x", "y", "x", "x"), "twice"},
		"refused, and done":         {append(back[:2:2], at(4, 5, refused(9, rollback("x", 1, 0)))), chain("x", "y", "x"), "twice"},
	} {
		v := Versions(tt.ops, Final{"n1": {"a": tt.chain}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestReads(t *testing.T) {
	final := Final{"n1": {"a": {{Value: "x", Revision: 5}, {Value: "y", Revision: 8}}}}
	reads := func(version, revision uint64) history.Op {
		return history.Op{Kind: history.Restore, Version: version, Revision: revision, Stale: true}
	}
	for name, tt := range map[string]struct {
		op   history.Op
		good bool
	}{
		"the first":                 {reads(1, 5), true},
		"the first, just before":    {reads(1, 7), true},
		"the second":                {reads(2, 8), true},
		"the second, later":         {reads(2, 20), true},
		"nothing, before the first": {reads(0, 4), true},
		"of the future":             {reads(2, 7), false},
		"too old":                   {reads(1, 8), false},
		"nothing, and it is there":  {reads(0, 5), false},
		"nothing, older than asked": {least(5, reads(0, 0)), false},
	} {
		if v := Reads([]history.Op{at(0, 1, tt.op)}, final); v.Good() != tt.good || v.Checked != 1 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestReplicas(t *testing.T) {
	same := map[string]Chain{"a": chain("x", "y")}
	for name, tt := range map[string]struct {
		final Final
		good  bool
	}{
		"equal":           {Final{"n1": same, "n2": same, "n3": same}, true},
		"one node":        {Final{"n1": same}, false},
		"another version": {Final{"n1": same, "n2": {"a": chain("x", "z")}}, false},
		"another length":  {Final{"n1": same, "n2": {"a": chain("x")}}, false},
		"one more agent":  {Final{"n1": same, "n2": {"a": chain("x", "y"), "b": chain("z")}}, false},
	} {
		if v := Replicas(tt.final); v.Good() != tt.good {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func own(client int, epoch uint64) history.Op {
	return history.Op{Kind: history.Own, Client: client, Epoch: epoch}
}

// sure is of an owner that was certain to be one until a second.
func sure(until int, op history.Op) history.Op {
	op.Sure = time.Duration(until) * time.Second
	return op
}

func paused(until int, op history.Op) history.Op {
	op.Paused = true
	return sure(until, op)
}

func under(epoch uint64, v Version) Version {
	v.Epoch = epoch
	return v
}

func saveUnder(client int, epoch uint64, op history.Op) history.Op {
	op.Client, op.Epoch = client, epoch
	return op
}

func late(op history.Op) history.Op {
	op.Deposed = true
	return op
}

func TestFencing(t *testing.T) {
	// The epochs are 1 and 3, from revision 10 to 20 and from 30 on.
	told := []history.Op{at(0, 0, hold(history.Granted, -1, 1)), at(4, 4, ended(-1, 1, "released")), at(4, 4, hold(history.Granted, -1, 3))}
	owners := []history.Op{
		at(0, 3, own(1, 1)), at(1, 2, saveUnder(1, 1, save("x", 1))), at(4, 7, own(2, 3)), at(5, 6, saveUnder(2, 3, save("y", 2))),
	}
	ops := slices.Concat(told, owners)
	with := func(ops ...history.Op) []history.Op { return slices.Concat(told, ops, owners) }
	first := func(op history.Op) []history.Op { return slices.Concat(told, []history.Op{op}, owners[1:]) }
	x, y := under(1, Version{Value: "x", Revision: 15}), under(3, Version{Value: "y", Revision: 35})
	moved := func(revision uint64, v Version) Version {
		v.Revision = revision
		return v
	}
	for name, tt := range map[string]struct {
		ops   []history.Op
		chain Chain
		want  string
	}{
		"one after the other":           {ops, Chain{x, y}, ""},
		"two at a time":                 {first(at(0, 5, own(1, 1))), Chain{x, y}, "two own it"},
		"stood still, and learns late":  {first(at(0, 5, paused(3, own(1, 1)))), Chain{x, y}, ""},
		"stood still, yet was certain":  {first(at(0, 6, paused(5, own(1, 1)))), Chain{x, y}, "two own it"},
		"certain, and did not stand":    {first(at(0, 4, sure(5, own(1, 1)))), Chain{x, y}, "two own it"},
		"an owner that never ends":      {first(at(0, 0, own(1, 1))), Chain{x, y}, "two own it"},
		"late, refused":                 {with(at(8, 9, late(refused(0, saveUnder(1, 1, save("z", 0)))))), Chain{x, y}, ""},
		"late, and done":                {with(at(8, 9, late(saveUnder(1, 1, save("z", 3))))), Chain{x, y}, "given back"},
		"an epoch of two":               {with(at(8, 9, own(3, 3))), Chain{x, y}, "an epoch is two clients'"},
		"epochs go back":                {slices.Concat(told, owners[2:], []history.Op{at(8, 9, own(3, 1))}), Chain{y}, "goes back"},
		"versions go back":              {ops, Chain{y, x}, "one before it of 3"},
		"deposed":                       {ops, Chain{x, under(1, y)}, "is of epoch 1, but"},
		"nobody's":                      {ops, Chain{x, under(0, y)}, "is of epoch 0, but"},
		"after its end":                 {ops, Chain{moved(21, x), y}, "did not last at revision 21"},
		"unanswered, and after its end": {with(at(1, 1, unknown(saveUnder(1, 1, save("z", 0))))), Chain{x, under(1, Version{Value: "z", Revision: 25}), y}, "did not last at revision 25"},
		"before its grant":              {ops, Chain{x, moved(29, y)}, "did not last at revision 29"},
		"an epoch of nobody":            {with(at(5, 6, saveUnder(3, 5, save("z", 3)))), Chain{x, y, under(5, Version{Value: "z", Revision: 36})}, "of epoch 5, which did not last"},
		"no watcher was told":           {with(at(8, 9, own(3, 5))), Chain{x, y}, "no watcher"},
		"no number for the end":         {with(at(9, 9, hold(history.Granted, -1, 4))), Chain{x, y}, "does not rise with the end"},
	} {
		v := Fencing(tt.ops, Final{"n1": {"a": tt.chain}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestBank(t *testing.T) {
	transfer := history.Op{Kind: history.Transfer, Value: "t", Agents: []string{"a", "b"}, Outcome: history.OK}
	aborted, open := transfer, transfer
	aborted.Outcome, open.Outcome = history.Failed, history.Unknown
	half := func(revision uint64) Chain { return Chain{{Revision: revision, Txn: "t"}} }
	both := map[string]Chain{"a": half(5), "b": half(5)}
	for name, tt := range map[string]struct {
		op     history.Op
		chains map[string]Chain
		want   string
	}{
		"committed":          {transfer, both, ""},
		"aborted":            {aborted, map[string]Chain{"a": {}}, ""},
		"unknown, committed": {open, both, ""},
		"unknown, aborted":   {open, map[string]Chain{"a": {}}, ""},
		"half":               {open, map[string]Chain{"a": half(5)}, "of a transfer between"},
		"two revisions":      {transfer, map[string]Chain{"a": half(5), "b": half(6)}, "of a transfer between"},
		"somebody else's":    {transfer, map[string]Chain{"a": half(5), "c": half(5)}, "of a transfer between"},
		"lost":               {transfer, map[string]Chain{"a": {}}, "has nothing"},
		"aborted, and done":  {aborted, both, "was aborted"},
		"nobody's":           {history.Op{Kind: history.Total, Sum: 7, Outcome: history.OK}, both, "nobody began"},
		"money made":         {history.Op{Kind: history.Total, Sum: 8, Outcome: history.OK}, nil, "there are 8"},
		"committed, read":    {history.Op{Kind: history.Total, Sum: 7, Outcome: history.OK, Txns: []string{"t"}}, both, "nobody began"},
		"staged, read":       {history.Op{Kind: history.Total, Sum: 7, Outcome: history.OK, Txns: []string{"u"}}, nil, "staged was read"},
		"not read":           {history.Op{Kind: history.Total, Sum: 8, Outcome: history.Failed}, nil, ""},
	} {
		v := Bank([]history.Op{tt.op}, Final{"n1": tt.chains}, 7)
		if text := strings.Join(v.Violations, "\n"); (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestWatches(t *testing.T) {
	final := Final{"n1": {"a": {{Revision: 1}, {Revision: 4}}, "b": {{Revision: 4}, {Revision: 6}}}}
	told := func(list ...Told) []Told { return list }
	a1, a2, b1, b2 := Told{1, "a", 1}, Told{4, "a", 2}, Told{4, "b", 1}, Told{6, "b", 2}
	for name, tt := range map[string]struct {
		told []Told
		good bool
	}{
		"all, in order":         {told(a1, a2, b1, b2), true},
		"one revision, swapped": {told(a1, b1, a2, b2), true},
		"one left out":          {told(a1, b1, b2), false},
		"the last left out":     {told(a1, a2, b1), false},
		"one twice":             {told(a1, a2, a2, b1, b2), false},
		"out of order":          {told(a1, a2, b2, b1), false},
		"one made up":           {told(a1, a2, b1, Told{5, "c", 1}, b2), false},
		"another number":        {told(a1, a2, b1, Told{6, "b", 3}), false},
		"another revision":      {told(a1, a2, b1, Told{7, "b", 2}), false},
	} {
		if v := Watches(map[string][]Told{"w": tt.told}, final); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// Claim: of what was deleted since a watcher may tell or not; of what was made
// afterwards it must.
func TestWatches_OfDeletedAgents(t *testing.T) {
	final := Final{"n1": {"gone": nil, "anew": {{}, {}, {Revision: 6}}}}
	last := Told{6, "anew", 3}
	for name, tt := range map[string]struct {
		told []Told
		good bool
	}{
		"what is there": {[]Told{last}, true},
		"all":           {[]Told{{1, "gone", 1}, {2, "anew", 1}, last}, true},
		"not the last":  {[]Told{{1, "gone", 1}, {2, "anew", 1}}, false},
		"out of order":  {[]Told{{2, "anew", 1}, {1, "gone", 1}, last}, false},
		"one more":      {[]Told{last, {7, "anew", 4}}, false},
	} {
		if v := Watches(map[string][]Told{"w": tt.told}, final); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// hold is something that a watcher, a holder or the resource tells of a lock.
func hold(kind history.Kind, client int, number uint64) history.Op {
	return history.Op{Kind: kind, Client: client, Epoch: number, Revision: 10 * number}
}

// ended is that a watcher was told of the end of a hold: half way to the next grant.
func ended(client int, number uint64, reason string) history.Op {
	return history.Op{Kind: history.Ended, Client: client, Epoch: number, Revision: 10*number + 10, Reason: reason}
}

func write(kind history.Kind, number uint64, value string) history.Op {
	return history.Op{Kind: kind, Epoch: number, Value: value}
}

func refusal(op history.Op) history.Op {
	op.Outcome = history.Failed
	return op
}

func TestLocks(t *testing.T) {
	base := []history.Op{
		at(0, 0, hold(history.Granted, -1, 1)), at(0, 4, own(1, 1)), at(1, 3, write(history.Write, 1, "x")), at(2, 2, write(history.Judged, 1, "x")),
		at(5, 5, hold(history.Granted, -1, 2)), at(5, 9, own(2, 2)), at(6, 8, write(history.Write, 2, "y")), at(7, 7, write(history.Judged, 2, "y")),
	}
	with := func(ops ...history.Op) []history.Op { return append(append([]history.Op{}, base...), ops...) }
	for name, tt := range map[string]struct {
		ops  []history.Op
		want string
	}{
		"one after the other":          {base, ""},
		"an old fence, refused":        {with(at(8, 8, refusal(write(history.Judged, 1, "z"))), at(7, 9, refusal(write(history.Write, 1, "z")))), ""},
		"an old fence, accepted":       {with(at(8, 8, write(history.Judged, 1, "z"))), "older fence"},
		"old, before the new one":      {with(at(6, 6, write(history.Judged, 2, "w")))[:8], ""},
		"never granted":                {with(at(8, 8, write(history.Judged, 3, "z"))), "never granted"},
		"held, never granted":          {with(at(10, 11, own(3, 3))), "no watcher"},
		"refused for nothing":          {with(at(8, 8, refusal(write(history.Judged, 2, "z")))), "no newer one"},
		"accepted, and nobody knows":   {with(at(8, 9, write(history.Write, 2, "z"))), "does not know"},
		"refused, and accepted":        {with(at(8, 8, write(history.Judged, 2, "z")), at(8, 9, refusal(write(history.Write, 2, "z")))), "does not know"},
		"unknown, and accepted":        {with(at(8, 8, write(history.Judged, 2, "z")), at(8, 9, unknown(write(history.Write, 2, "z")))), ""},
		"the same fence again":         {with(at(9, 9, hold(history.Granted, -1, 2))), "does not rise"},
		"a lower fence":                {with(at(9, 9, hold(history.Granted, -1, 1))), "does not rise"},
		"the same at another watcher":  {with(at(9, 9, hold(history.Granted, -2, 2))), ""},
		"another revision elsewhere":   {with(at(9, 9, func() history.Op { o := hold(history.Granted, -2, 2); o.Revision = 19; return o }())), "different grants"},
		"two hold it":                  {with(at(5, 6, hold(history.Granted, -2, 2)), at(3, 6, own(3, 1))), "two clients'"},
		"stood still, and wrote late":  {append([]history.Op{at(0, 6, paused(3, own(1, 1)))}, append(with()[:1], with()[2:]...)...), ""},
		"certain that it is its still": {append([]history.Op{at(0, 6, paused(6, own(1, 1)))}, append(with()[:1], with()[2:]...)...), "two own it"},
	} {
		v := Locks(tt.ops)
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// afterwards is of a revision after those of the first two grants.
func afterwards(op history.Op) history.Op {
	op.Revision = 30
	return op
}

func TestHolds(t *testing.T) {
	ended := func(client int, number uint64) history.Op {
		o := ended(client, number, "released")
		o.Revision = 10*number + 1
		return o
	}
	granted := func(client int, number uint64) history.Op { return hold(history.Granted, client, number) }
	both := []history.Op{
		at(1, 1, granted(-1, 1)), at(2, 2, ended(-1, 1)), at(3, 3, granted(-1, 2)),
		at(2, 2, granted(-2, 1)), at(3, 3, ended(-2, 1)), at(4, 4, granted(-2, 2)),
	}
	const far = 1000
	for name, tt := range map[string]struct {
		ops  []history.Op
		good bool
		// watchers are -1 and as many as that; last is far unless it is said.
		watchers int
		last     uint64
	}{
		"the same":               {both, true, 2, 0},
		"one was told nothing":   {both[:3], false, 2, 0},
		"one misses the last":    {both[:5], false, 2, 0},
		"one is not so far":      {both[:5], true, 2, 11},
		"begins with an end":     {both[1:3], true, 1, 0},
		"one left out":           {append(append([]history.Op{}, both[:1]...), both[2:]...), false, 2, 0},
		"one twice":              {append(append([]history.Op{}, both[:3]...), both[2]), false, 1, 0},
		"one more at the end":    {append(append([]history.Op{}, both...), at(5, 5, ended(-2, 2))), false, 2, 0},
		"another end":            {[]history.Op{both[0], at(2, 2, ended(-1, 2))}, false, 1, 0},
		"granted while granted":  {[]history.Op{both[0], both[2]}, false, 1, 0},
		"told something else":    {append(append([]history.Op{}, both[:3]...), at(2, 2, granted(-2, 1)), at(3, 3, ended(-2, 1)), at(4, 4, granted(-2, 3))), false, 2, 0},
		"an end before a grant":  {[]history.Op{both[2], at(4, 4, ended(-1, 1))}, false, 1, 0},
		"another holder's place": {[]history.Op{both[0], both[2], at(0, 0, history.Op{Kind: history.Semaphore, Number: 2})}, true, 1, 0},
		"no place is left":       {[]history.Op{both[0], both[2], at(4, 4, granted(-1, 3)), at(0, 0, history.Op{Kind: history.Semaphore, Number: 2})}, false, 1, 0},
		"the first place ends":   {[]history.Op{both[0], both[2], at(4, 4, afterwards(ended(-1, 1))), at(5, 5, granted(-1, 4)), at(0, 0, history.Op{Kind: history.Semaphore, Number: 2})}, true, 1, 0},
		"a place ends twice":     {[]history.Op{both[0], both[2], at(4, 4, afterwards(ended(-1, 1))), at(5, 5, afterwards(ended(-1, 1))), at(0, 0, history.Op{Kind: history.Semaphore, Number: 2})}, false, 1, 0},
		"an end of another time": {[]history.Op{both[0], at(2, 2, func() history.Op { o := ended(-1, 1); o.Revision = 3; return o }())}, false, 1, 0},
	} {
		watchers, last := []int{-1, -2}[:tt.watchers], tt.last
		if last == 0 {
			last = far
		}
		if v := Holds(tt.ops, watchers, last); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestLeases(t *testing.T) {
	// Times are in seconds; the lease "l" has a TTL of 3.
	renew := func(term, revision uint64) history.Op {
		return history.Op{Kind: history.Renew, Value: "l", TTL: 3 * time.Second, Term: term, Revision: revision}
	}
	granted, killed := hold(history.Granted, -1, 1), unknown(own(1, 1))
	granted.Value = "l"
	ended := func(why string) history.Op {
		return history.Op{Kind: history.Ended, Client: -1, Epoch: 1, Revision: 20, Value: "l", Reason: why}
	}
	serves := func(from, to int) (ops []history.Op) {
		for ms := 1000 * from; ms < 1000*to; ms += 200 {
			op := at(0, 0, restore("x", 1))
			op.Call, op.Return = time.Duration(ms)*time.Millisecond, time.Duration(ms+1)*time.Millisecond
			ops = append(ops, op)
		}
		return ops
	}
	base := []history.Op{at(0, 0, granted), at(0, 1, renew(1, 10)), at(2, 3, renew(1, 10))}
	with := func(ops ...history.Op) []history.Op { return append(append([]history.Op{}, base...), ops...) }
	for name, tt := range map[string]struct {
		ops  []history.Op
		want string
	}{
		"in time":                        {with(at(5, 5, ended("expired"))), ""},
		"too early":                      {with(at(4, 4, ended("expired"))), "too early"},
		"released early":                 {with(at(4, 4, ended("released"))), ""},
		"seen early by another watcher":  {with(at(5, 5, ended("expired")), at(4, 4, func() history.Op { o := ended("expired"); o.Client = -2; return o }())), "too early"},
		"seen late by another watcher":   {with(at(5, 5, ended("expired")), at(9, 9, func() history.Op { o := ended("expired"); o.Client = -2; return o }())), ""},
		"a new leader, in time":          {with(at(4, 4, renewOther(renew(2, 12))), at(5, 5, renewOther(renew(2, 12))), at(7, 7, ended("expired"))), ""},
		"a new leader, not its full TTL": {with(at(3, 3, renewOther(renew(1, 12))), at(4, 4, renewOther(renew(2, 12))), at(5, 5, renewOther(renew(2, 12))), at(5, 5, ended("expired"))), "of term 2"},
		"expired before the new leader":  {with(at(3, 3, renewOther(renew(1, 12))), at(4, 4, renewOther(renew(2, 22))), at(5, 5, renewOther(renew(2, 22))), at(5, 5, ended("expired"))), ""},
		"an answer without a term":       {with(at(4, 4, renewOther(renew(2, 12))), at(5, 5, renewOther(renew(2, 12))), at(7, 7, ended("expired")), at(8, 9, renewOther(renew(0, 21)))), ""},
		"killed, and ended":              {with(append(serves(3, 9), at(0, 3, killed), at(6, 6, ended("expired")))...), ""},
		"killed, and ended late":         {with(append(serves(3, 20), at(0, 3, killed), at(15, 15, ended("expired")))...), "after its owner"},
		"killed, and never ended":        {with(append(serves(3, 20), at(0, 3, killed))...), "after its owner"},
		"killed, and soon all is over":   {with(append(serves(3, 5), at(0, 3, killed))...), ""},
		"killed, and nobody serves":      {with(append(serves(13, 14), at(0, 3, killed), at(15, 15, ended("expired")))...), ""},
		"killed, and new leaders":        {with(append(serves(3, 14), at(0, 3, killed), at(5, 6, renewOther(renew(2, 12))), at(7, 8, renewOther(renew(2, 12))), at(11, 11, ended("expired")))...), ""},
	} {
		v := Leases(tt.ops)
		if text := strings.Join(v.Violations, "\n"); (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// renewOther is of another lease.
func renewOther(op history.Op) history.Op {
	op.Value = "other"
	return op
}
