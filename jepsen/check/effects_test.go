// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/jepsen/history"
)

// of is an operation on the effect "ask-1" of agent a, unless it says otherwise.
func of(kind history.Kind, call, end int, op history.Op) history.Op {
	agent := op.Agent
	op.Kind = kind
	if op.Effect == "" && kind != history.Save && kind != history.Restore && kind != history.Fork && kind != history.Rollback {
		op.Effect = "ask-1"
	}
	if op = at(call, end, op); agent != "" {
		op.Agent = agent
	}
	return op
}

// Claim: of an agent a that pays, and a fork f of it, what docs/effects.md allows
// passes, and nothing else does.
func TestEffects(t *testing.T) {
	paid := of(history.Pay, 11, 12, history.Op{Key: "k", Value: "r"})
	ran := of(history.Run, 10, 13, history.Op{Key: "k", Value: "r"})
	journal := of(history.Journal, 90, 91, history.Op{Key: "k", Value: "r", Number: 1})
	again := of(history.Run, 20, 21, history.Op{Value: "r"})
	ops := []history.Op{ran, paid, again, journal}
	with := func(more ...history.Op) []history.Op { return append(slices.Clone(ops), more...) }
	instead := func(i int, op history.Op) []history.Op {
		changed := slices.Clone(ops)
		changed[i] = op
		return changed
	}
	open := lost(ran, history.Unknown)
	open.Value = ""
	unknownRun := instead(0, open)
	retry := func(op history.Op) history.Op {
		op.Effect = "retry-1"
		return op
	}
	first, second := of(history.Save, 5, 6, history.Op{Value: "v1", Version: 1}), of(history.Save, 30, 31, history.Op{Value: "v2", Version: 2})
	back := of(history.Rollback, 40, 41, history.Op{Number: 1, Version: 3})
	restored := func(version uint64, values ...string) history.Op {
		return of(history.Restore, 50, 51, history.Op{Version: version, Values: values})
	}
	saved := of(history.Save, 14, 15, history.Op{Value: "v", Version: 1, Values: []string{"r"}, Effect: "ask-1"})
	began := of(history.Begin, 10, 13, history.Op{Key: "k"})
	together := []history.Op{began, paid, saved, journal}
	fork := of(history.Fork, 15, 16, history.Op{Agent: "f", Agents: []string{"a"}})
	early := of(history.Fork, 5, 6, history.Op{Agent: "f", Agents: []string{"a"}})
	byFork := func(key, value string) []history.Op {
		return []history.Op{of(history.Run, 60, 61, history.Op{Agent: "f", Key: key, Value: value})}
	}
	forkPaid := of(history.Pay, 60, 61, history.Op{Agent: "f", Key: "k", Value: "r2"})
	other := of(history.Pay, 60, 61, history.Op{Agent: "f", Key: "k2", Value: "r2"})
	for name, tt := range map[string]struct {
		ops   []history.Op
		chain Chain
		want  string
	}{
		"run once":                  {ops, nil, ""},
		"unknown, recorded":         {unknownRun, nil, ""},
		"unknown, open":             {[]history.Op{open, paid, of(history.Journal, 90, 91, history.Op{Key: "k", Number: 1})}, nil, ""},
		"run again":                 {with(of(history.Run, 30, 31, history.Op{Key: "k", Value: "r"})), nil, "after its end was recorded"},
		"run by two, retry":         {[]history.Op{retry(ran), retry(paid), retry(of(history.Run, 12, 14, history.Op{Key: "k", Value: "r"})), retry(paid), retry(of(history.Journal, 90, 91, history.Op{Key: "k", Value: "r", Number: 2}))}, nil, ""},
		"run by two, ask":           {[]history.Op{ran, paid, open, paid, of(history.Journal, 90, 91, history.Op{Key: "k", Value: "r", Number: 2})}, nil, "requested 2 times"},
		"not permitted":             {[]history.Op{retry(ran), retry(paid), retry(paid), retry(journal)}, nil, "2 requests, and 1 permissions"},
		"another end":               {with(of(history.Run, 30, 31, history.Op{Value: "r2"})), nil, "two ends"},
		"never given":               {[]history.Op{of(history.Run, 10, 13, history.Op{Key: "k", Value: "x"}), paid}, nil, "did not give it"},
		"replaced":                  {with(of(history.Finish, 30, 31, history.Op{Value: "forged"})), nil, "two ends"},
		"refused to be replaced":    {with(of(history.Finish, 30, 31, history.Op{Value: "forged", Outcome: history.Failed})), nil, ""},
		"failed":                    {[]history.Op{of(history.Run, 10, 13, history.Op{Key: "k", Value: FailedEnd}), of(history.Pay, 11, 12, history.Op{Key: "k", Outcome: history.Failed})}, nil, ""},
		"not in the journal":        {instead(3, of(history.Journal, 90, 91, history.Op{Outcome: history.Failed})), nil, "is not in the journal"},
		"end not in the journal":    {instead(3, of(history.Journal, 90, 91, history.Op{Key: "k", Number: 1})), nil, "its end is not in the journal"},
		"another key":               {instead(3, of(history.Journal, 90, 91, history.Op{Key: "k2", Value: "r", Number: 1})), nil, "its key was"},
		"deposed":                   {with(of(history.Begin, 30, 31, history.Op{Deposed: true, Effect: "ask-2"})), nil, "had been given back"},
		"end with its version":      {together, Chain{{Value: "v"}}, ""},
		"neither end nor version":   {[]history.Op{began, paid, lost(saved, history.Unknown), of(history.Journal, 90, 91, history.Op{Key: "k", Number: 1})}, nil, ""},
		"version without the end":   {[]history.Op{began, paid, saved, of(history.Journal, 90, 91, history.Op{Key: "k", Number: 1})}, Chain{{Value: "v"}}, "its end is not in"},
		"end without the version":   {[]history.Op{began, paid, lost(saved, history.Unknown), journal}, nil, "and there is the end"},
		"fork, told":                {with(append(byFork("", "r"), fork)...), nil, ""},
		"fork, runs it again":       {with(append(byFork("k", "r2"), fork, forkPaid)...), nil, "after its end was recorded"},
		"fork with another key":     {append(append(byFork("k2", "r2"), fork, other), unknownRun...), nil, "has another key"},
		"fork of before":            {with(append(byFork("k2", "r2"), early, other)...), nil, ""},
		"fork of before, one key":   {with(append(byFork("k", "r2"), early, forkPaid)...), nil, "has the same key"},
		"told after a rollback":     {with(first, second, back, restored(3, "ask-1", "r")), Chain{{Value: "v1"}, {Value: "v2"}, {Value: "v1"}}, ""},
		"reflected":                 {with(first, second, restored(2)), nil, ""},
		"not told":                  {with(first, restored(1)), nil, "is not told of"},
		"not told after a rollback": {with(first, second, back, restored(3)), nil, "is not told of"},
		"told as open":              {with(first, restored(1, "ask-1", "")), nil, "told of as open"},
	} {
		slices.SortStableFunc(tt.ops, func(a, b history.Op) int { return int(a.Call - b.Call) })
		v := Effects(tt.ops, Final{"n1": {"a": tt.chain}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
