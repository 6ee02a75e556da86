// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Claim: of a group of a and b that was saved twice, cut in between and rolled
// back, what docs/cuts.md allows passes, and nothing else does.
func TestCuts(t *testing.T) {
	group := func(kind history.Kind, value string, revision uint64, numbers ...uint64) history.Op {
		return history.Op{
			Kind: kind, Agent: "g", Agents: []string{"a", "b"}, Value: value, Revision: revision, Numbers: numbers, Outcome: history.OK,
		}
	}
	unanswered := func(op history.Op) history.Op {
		op.Outcome, op.Revision, op.Numbers = history.Unknown, 0, nil
		return op
	}
	x, y := group(history.SaveAll, "x", 1, 1, 1), group(history.SaveAll, "y", 3, 2, 2)
	cut, back := group(history.Cut, "c", 2, 1, 1), group(history.RollbackTo, "c", 4, 3, 3)
	ops := []history.Op{x, cut, y, back, group(history.Heads, "", 0, 3, 3), group(history.ShowCut, "c", 2, 1, 1)}
	instead := func(i int, op history.Op) []history.Op {
		changed := slices.Clone(ops)
		changed[i] = op
		return changed
	}
	refused := y
	refused.Outcome = history.Failed
	good := chain("x", "y", "x")
	good[1].Revision, good[2].Revision = 3, 4
	moved := slices.Clone(good)
	moved[2].Revision = 5
	wrong := slices.Clone(good)
	wrong[2].Value = "y"
	twice := append(slices.Clone(good), Version{Value: "x", Revision: 6})
	made := append(slices.Clone(good), Version{Value: "z", Revision: 6})
	for name, tt := range map[string]struct {
		ops  []history.Op
		a, b Chain
		want string
	}{
		"as told":                {ops, good, good, ""},
		"save unknown":           {instead(2, unanswered(y)), good, good, ""},
		"rollback unknown":       {instead(3, unanswered(back)), good, good, ""},
		"rollback not done":      {instead(3, unanswered(back)), good[:2], good[:2], ""},
		"cut unknown":            {append(instead(1, unanswered(cut))[:5:5], unanswered(back)), twice, twice, ""},
		"half saved":             {instead(2, unanswered(y)), good[:2], good[:1], "and of agent b \"\""},
		"two revisions":          {ops, good, moved, "of revision 4, and of agent b"},
		"rolled back to another": {ops, wrong, wrong, "not \"x\""},
		"one rolled back":        {instead(3, unanswered(back)), good, good[:2], "and of agent b"},
		"one to another":         {instead(3, unanswered(back)), good, wrong, "and of agent b"},
		"done twice":             {ops, twice, twice, "nobody rolled back"},
		"done twice, unknown":    {instead(3, unanswered(back)), twice, twice, "nobody rolled back"},
		"made up":                {ops, made, made, "nobody saved"},
		"refused":                {instead(2, refused), good, good, "was refused"},
		"lost":                   {ops, good[:2], good[:2], "not \"x\""},
		"cut of later":           {instead(1, group(history.Cut, "c", 2, 1, 2)), good, good, "is of revision 3"},
		"cut of before":          {instead(1, group(history.Cut, "c", 3, 1, 1)), good, good, "the next one of 3"},
		"cut changes":            {instead(5, group(history.ShowCut, "c", 3, 2, 2)), good, good, "a cut changes"},
		"read in part":           {instead(4, group(history.Heads, "", 0, 3, 2)), good, good, "saved together"},
	} {
		v := Cuts(tt.ops, Final{"n1": {"a": tt.a, "b": tt.b}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
