// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// The life of a cut through the commands of the program, with their exit codes.
func TestProcesses_Cuts(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	f.want(t, 0, "plan 1", "state", "save", "crew/planner")
	f.want(t, 0, "draft 1", "state", "save", "crew/writer")

	cut := decode[cutView](t, f.want(t, 0, "", "cut", "create", "friday", "--prefix", "crew", "--label", "before", "-o", "json").stdout)
	if cut.Size != 2 || len(cut.Agents) != 2 || cut.Prefix == nil || *cut.Prefix != "crew" || cut.Label != "before" {
		t.Errorf("create: %+v", cut)
	}
	if again := f.want(t, 0, "", "cut", "create", "friday", "--prefix", "crew", "--label", "before"); !strings.Contains(again.stderr, "there already") {
		t.Errorf("created again: %+v", again)
	}
	f.want(t, 1, "", "cut", "create", "friday", "crew/planner")
	f.want(t, 3, "", "cut", "create", "x", "crew/planner", "nobody")
	f.want(t, 2, "", "cut", "create", "x")
	f.want(t, 2, "", "cut", "create", "x", "crew/planner", "--prefix", "crew")
	f.want(t, 0, "", "cut", "create", "by-name", "crew/planner")
	if out := f.want(t, 0, "", "cut", "list").stdout; !strings.Contains(out, "prefix crew") || !strings.Contains(out, "agents by name") {
		t.Errorf("list: %s", out)
	}

	f.want(t, 0, "draft 2", "state", "save", "crew/writer")
	plan := decode[rollbackView](t, f.want(t, 0, "", "cut", "rollback", "friday", "--dry-run", "-o", "json").stdout)
	if !plan.DryRun || len(plan.Agents) != 2 || plan.Agents[1].Head != 2 || plan.Agents[1].Made != 0 {
		t.Errorf("dry run: %+v", plan)
	}
	if out := f.want(t, 0, "", "cut", "rollback", "friday", "--reason", "loops").stdout; !strings.Contains(out, "2 agents of 2 rolled back to friday") {
		t.Errorf("rollback: %s", out)
	}
	if out := f.want(t, 0, "", "state", "restore", "crew/writer").stdout; out != "draft 1" {
		t.Errorf("after the rollback: %q", out)
	}
	if out := f.want(t, 0, "", "cut", "show", "friday").stdout; !strings.Contains(out, ": loops") {
		t.Errorf("show: %s", out)
	}
	f.want(t, 0, "", "agent", "delete", "crew/planner")
	if refused := f.want(t, 1, "", "cut", "rollback", "friday"); !strings.Contains(refused.stderr, `"crew/planner"`) || !strings.Contains(refused.stderr, "--leave-out") {
		t.Errorf("refused: %+v", refused)
	}
	if out := f.want(t, 0, "", "cut", "rollback", "friday", "--leave-out").stdout; !strings.Contains(out, "1 agent of 2") {
		t.Errorf("leave out: %s", out)
	}
	f.want(t, 2, "", "cut", "rollback", "friday", "--request-id", "nonsense")
	f.want(t, 3, "", "cut", "rollback", "monday")
	f.want(t, 0, "", "cut", "delete", "friday")
	f.want(t, 3, "", "cut", "delete", "friday")
}
