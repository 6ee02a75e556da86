// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"
	"time"

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
	} {
		if v := Revisions(tt.ops); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// chain is the versions of an agent, each at the revision of its number.
func chain(values ...string) Chain {
	c := make(Chain, len(values))
	for i, value := range values {
		c[i] = Version{Value: value, Revision: uint64(i + 1)}
	}
	return c
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
	} {
		v := Versions(ops, Final{"n1": {"a": tt.chain}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
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
	ops := []history.Op{
		at(0, 3, own(1, 1)), at(1, 2, saveUnder(1, 1, save("x", 1))), at(4, 7, own(2, 2)), at(5, 6, saveUnder(2, 2, save("y", 2))),
	}
	good := Chain{under(1, Version{Value: "x"}), under(2, Version{Value: "y"})}
	for name, tt := range map[string]struct {
		ops   []history.Op
		chain Chain
		want  string
	}{
		"one after the other":          {ops, good, ""},
		"two at a time":                {append([]history.Op{at(0, 5, own(1, 1))}, ops[1:]...), good, "two own it"},
		"stood still, and learns late": {append([]history.Op{at(0, 5, paused(3, own(1, 1)))}, ops[1:]...), good, ""},
		"stood still, yet was certain": {append([]history.Op{at(0, 6, paused(5, own(1, 1)))}, ops[1:]...), good, "two own it"},
		"certain, and did not stand":   {append([]history.Op{at(0, 4, sure(5, own(1, 1)))}, ops[1:]...), good, "two own it"},
		"an owner that never ends":     {append([]history.Op{at(0, 0, own(1, 1))}, ops[1:]...), good, "two own it"},
		"late, refused":                {append([]history.Op{at(8, 9, late(refused(0, saveUnder(1, 1, save("z", 0)))))}, ops...), good, ""},
		"late, and done":               {append([]history.Op{at(8, 9, late(saveUnder(1, 1, save("z", 3))))}, ops...), good, "given back"},
		"an epoch of two":              {append([]history.Op{at(8, 9, own(3, 2))}, ops...), good, "an epoch is two clients'"},
		"epochs go back":               {append([]history.Op{at(8, 9, own(3, 1))}, ops[2:]...), good[1:], "goes back"},
		"versions go back":             {ops, Chain{good[1], good[0]}, "one before it of 2"},
		"deposed":                      {ops, Chain{good[0], under(1, good[1])}, "is of epoch 1, but"},
		"nobody's":                     {ops, Chain{good[0], under(0, good[1])}, "nobody who owned it"},
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
		"not read":           {history.Op{Kind: history.Total, Sum: 8, Outcome: history.Failed}, nil, ""},
	} {
		v := Bank([]history.Op{tt.op}, Final{"n1": tt.chains}, 7)
		if text := strings.Join(v.Violations, "\n"); v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
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
