// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/jepsen/history"
)

func send(client int, to, value string, number, revision uint64) history.Op {
	return history.Op{Client: client, Kind: history.Send, Agent: to, Value: value, Version: number, Revision: revision, Outcome: history.OK}
}

// reading is what was read of an inbox, whose first message has a number.
func reading(kind history.Kind, agent string, revision, first uint64, values ...string) history.Op {
	op := history.Op{Kind: kind, Agent: agent, Revision: revision, Outcome: history.OK, Values: values}
	for i := range values {
		op.Numbers = append(op.Numbers, first+uint64(i))
	}
	return op
}

// consuming is a save that consumes one message and sends to agents.
func consuming(agent, value, message string, number uint64, to ...string) history.Op {
	op := reading(history.Save, agent, 0, number, message)
	op.Value, op.Agents = value, to
	return op
}

func lost(op history.Op, outcome history.Outcome) history.Op {
	op.Outcome, op.Version, op.Revision = outcome, 0, 0
	return op
}

// Claim: of a pipeline in which b gets what a makes of x and y, what the promise
// allows passes, and nothing else does.
func TestMessages(t *testing.T) {
	x, y := send(1, "a", "x", 1, 10), send(1, "a", "y", 2, 20)
	made, end := consuming("a", "v", "x", 1, "b"), consuming("b", "w", "v", 1)
	leftA, leftB := reading(history.Left, "a", 50, 2, "y"), reading(history.Left, "b", 50, 1)
	ops := []history.Op{x, y, made, end, leftA, leftB}
	with := func(more ...history.Op) []history.Op { return append(slices.Clone(ops), more...) }
	instead := func(i int, op history.Op) []history.Op {
		changed := slices.Clone(ops)
		changed[i] = op
		return changed
	}
	a, b := Chain{{Value: "v", Revision: 30}}, Chain{{Value: "w", Revision: 40}}
	good := map[string]Chain{"a": a, "b": b}
	again := append(slices.Clone(a), Version{Value: "v2", Revision: 35})
	for name, tt := range map[string]struct {
		ops    []history.Op
		chains map[string]Chain
		want   string
	}{
		"through":                {ops, good, ""},
		"unknown, and consumed":  {instead(0, lost(x, history.Unknown)), good, ""},
		"unknown, and left":      {instead(1, lost(y, history.Unknown)), good, ""},
		"unknown, and not sent":  {append([]history.Op{lost(y, history.Unknown)}, append(slices.Clone(ops[:1]), made, end, reading(history.Left, "a", 50, 2), leftB)...), good, ""},
		"lost":                   {instead(4, reading(history.Left, "a", 50, 2)), good, "is lost"},
		"an emission is lost":    {with(), map[string]Chain{"a": a, "b": nil}, "message 0 to agent b is lost"},
		"consumed twice":         {with(consuming("a", "v2", "x", 1)), map[string]Chain{"a": again, "b": b}, "is consumed by"},
		"consumed, and left":     {instead(4, reading(history.Left, "a", 50, 1, "x", "y")), good, "consumed by \"v\", and left"},
		"consumed after it":      {instead(4, reading(history.Left, "a", 25, 1, "x", "y")), good, ""},
		"delivered twice":        {instead(4, reading(history.Left, "a", 50, 2, "y", "y")), good, "one message twice"},
		"emitted twice":          {instead(5, reading(history.Left, "b", 50, 2, "v")), good, "one message twice"},
		"refused":                {instead(0, lost(x, history.Failed)), good, "was refused"},
		"made up":                {instead(4, reading(history.Left, "a", 50, 2, "y", "z")), good, "nobody sent"},
		"not atomic":             {with(), map[string]Chain{"a": nil, "b": b}, "nobody sent message 1 \"v\""},
		"before it was sent":     {instead(0, send(1, "a", "x", 1, 30)), good, "sent at revision 30, and consumed at 30"},
		"a number for two":       {instead(1, send(1, "a", "y", 1, 20)), good, "is \"x\" and \"y\""},
		"a number for none":      {[]history.Op{x, lost(y, history.Unknown), made, end, reading(history.Left, "a", 50, 3, "y"), leftB}, good, "nobody has seen message 2"},
		"out of order":           {[]history.Op{y, x, made, end, leftA, leftB}, good, "and before it"},
		"order of two senders":   {[]history.Op{send(2, "a", "y", 2, 20), x, made, end, leftA, leftB}, good, ""},
		"shown":                  {with(reading(history.Receive, "a", 25, 1, "x", "y"), reading(history.Receive, "a", 30, 2, "y")), good, ""},
		"shown in part, as come": {with(reading(history.Receive, "a", 0, 2, "y")), good, ""},
		"shown too early":        {with(reading(history.Receive, "a", 15, 1, "x", "y")), good, "was sent at revision 20"},
		"shown too late":         {with(reading(history.Receive, "a", 30, 1, "x", "y")), good, "consumed at 30"},
		"not shown":              {with(reading(history.Receive, "a", 25, 2, "y")), good, "was not shown"},
		"shown twice":            {with(history.Op{Kind: history.Receive, Agent: "a", Outcome: history.OK, Values: []string{"y", "y"}, Numbers: []uint64{2, 2}}), good, "comes again"},
		"nobody looked":          {slices.Delete(slices.Clone(ops), 4, 5), good, "nobody has read"},
	} {
		v := Messages(tt.ops, Final{"n1": tt.chains})
		if text := strings.Join(v.Violations, "\n") + v.Inconclusive; v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
