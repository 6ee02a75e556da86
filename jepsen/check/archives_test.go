// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Claim: an archive of revision 2 holds what agents had then, and nothing else.
func TestArchives(t *testing.T) {
	op := history.Op{Kind: history.Archive, Value: "n", Revision: 2, Outcome: history.OK}
	interrupted := op
	interrupted.Outcome = history.Failed
	later := Chain{{Value: "w", Revision: 3}}
	claimed, changed := chain("x", "y"), chain("x", "z")
	claimed[1].Epoch = 1
	for name, tt := range map[string]struct {
		op    history.Op
		holds map[string]Chain
		want  string
	}{
		"exactly":             {op, map[string]Chain{"a": chain("x", "y")}, ""},
		"the newest left out": {op, map[string]Chain{"a": chain("x")}, "as version 2 of agent a"},
		"the first left out":  {op, map[string]Chain{"a": {{}, chain("x", "y")[1]}}, "as version 1 of agent a"},
		"one of later":        {op, map[string]Chain{"a": chain("x", "y", "z")}, "as version 3 of agent a"},
		"an agent of later":   {op, map[string]Chain{"a": chain("x", "y"), "b": later}, "as version 1 of agent b"},
		"an agent left out":   {op, map[string]Chain{}, "as version 1 of agent a"},
		"an agent made up":    {op, map[string]Chain{"a": chain("x", "y"), "c": later}, "has no agent c"},
		"another content":     {op, map[string]Chain{"a": changed}, "as version 2 of agent a"},
		"another owner":       {op, map[string]Chain{"a": claimed}, "as version 2 of agent a"},
		"damaged":             {op, nil, "is no archive"},
		"none":                {interrupted, nil, "no archive was made"},
	} {
		made := map[string]map[string]Chain{}
		if tt.holds != nil {
			made["n"] = tt.holds
		}
		v := Archives([]history.Op{tt.op}, made, Final{"n1": {"a": chain("x", "y", "z"), "b": later}})
		if text := strings.Join(v.Violations, "\n") + v.Inconclusive; v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
