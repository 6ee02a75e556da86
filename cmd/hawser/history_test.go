// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// The life of an agent's history through the commands of the program: diff,
// rollback, fork, pins, what was derived from what, and verification, with
// their exit codes.
func TestProcesses_History(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	f.want(t, 0, `{"step":1,"plan":["a"]}`, "state", "save", "planner")
	f.want(t, 0, `{"step":2,"plan":["a","b"]}`, "state", "save", "planner")
	f.want(t, 0, "binary\x00one", "state", "save", "worker", "--derived-from", "planner@1")

	d := decode[stateDiffView](t, f.want(t, 0, "", "state", "diff", "planner", "1", "2", "-o", "json").stdout)
	if d.Kind != "json" || len(d.Changes) != 2 || d.Changes[0].Path != "/step" && d.Changes[1].Path != "/step" {
		t.Errorf("diff: %+v", d)
	}
	f.want(t, 3, "", "state", "diff", "planner", "1", "9")
	f.want(t, 2, "", "state", "diff", "planner", "1", "x")

	v := decode[versionView](t, f.want(t, 0, "", "state", "rollback", "planner", "1", "-o", "json").stdout)
	if v.Version != 3 || v.Origin != "default/planner@1" || v.StoredSize != 0 {
		t.Errorf("rollback: %+v", v)
	}
	if out := f.want(t, 0, "", "state", "restore", "planner").stdout; out != `{"step":1,"plan":["a"]}` {
		t.Errorf("after the rollback: %q", out)
	}
	f.want(t, 4, "", "state", "rollback", "planner", "1", "--expect-version", "2")

	v = decode[versionView](t, f.want(t, 0, "", "agent", "fork", "planner@2", "planner-b", "-o", "json").stdout)
	if v.Version != 1 || v.Origin != "default/planner@2" {
		t.Errorf("fork: %+v", v)
	}
	f.want(t, 4, "", "agent", "fork", "planner", "planner-b")
	f.want(t, 3, "", "agent", "fork", "nobody", "somebody")
	f.want(t, 0, `{"step":3,"plan":["a","b"]}`, "state", "save", "planner-b")
	if out := f.want(t, 0, "", "state", "restore", "planner", "--version", "2").stdout; out != `{"step":2,"plan":["a","b"]}` {
		t.Errorf("the source after a save of the fork: %q", out)
	}

	if v = decode[versionView](t, f.want(t, 0, "", "state", "pin", "planner", "2", "-o", "json").stdout); !v.Pinned {
		t.Errorf("pin: %+v", v)
	}
	f.want(t, 3, "", "state", "pin", "planner", "9")
	if out := f.want(t, 0, "", "state", "versions", "planner").stdout; strings.Count(out, "live, pinned") != 1 {
		t.Errorf("versions: %s", out)
	}
	f.want(t, 0, "", "state", "pin", "planner", "2", "--remove")

	impact := decode[impactView](t, f.want(t, 0, "", "state", "impact", "planner@1", "-o", "json").stdout)
	agents := make([]string, 0, len(impact.Affected))
	for _, a := range impact.Affected {
		agents = append(agents, a.Agent)
	}
	if got := strings.Join(agents, " "); !strings.Contains(got, "worker") || !strings.Contains(got, "planner") {
		t.Errorf("impact: %+v", impact)
	}
	f.want(t, 2, "", "state", "impact", "planner")

	verified := decode[verifyView](t, f.want(t, 0, "", "state", "verify", "-o", "json").stdout)
	if verified.Agents != 3 || verified.Versions != 6 || len(verified.Bad) != 0 {
		t.Errorf("verify: %+v", verified)
	}
}

// Retention through the commands: the dry run tells, the policy removes, the
// pinned version stays, a removed version is gone and not unknown.
func TestProcesses_Retention(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	for i := range 5 {
		f.want(t, 0, strings.Repeat("x", i+1), "state", "save", "crew/a")
	}
	f.want(t, 0, "", "state", "pin", "crew/a", "1")
	f.want(t, 2, "", "retention", "set", "crew")
	f.want(t, 2, "", "retention", "set", "crew", "--keep-all", "--keep-last", "1")
	if out := f.want(t, 0, "", "retention", "set", "crew", "--keep-last", "2", "--dry-run").stdout; !strings.HasPrefix(out, "would remove 2 versions of 1 agent") {
		t.Errorf("dry run: %q", out)
	}
	f.want(t, 0, "", "retention", "set", "crew", "--keep-last", "2")
	if out := f.want(t, 0, "", "retention", "show", "crew/a").stdout; !strings.Contains(out, "kept: last 2, by the policy of crew") {
		t.Errorf("show: %q", out)
	}
	eventually(t, func() bool {
		return len(decode[[]versionView](t, f.want(t, 0, "", "state", "versions", "crew/a", "-o", "json").stdout)) == 3
	})
	if out := f.want(t, 0, "", "state", "restore", "crew/a", "--version", "1").stdout; out != "x" {
		t.Errorf("the pinned version: %q", out)
	}
	f.want(t, 3, "", "state", "restore", "crew/a", "--version", "2")
	f.want(t, 0, "", "retention", "set", "crew", "--remove")
	if out := f.want(t, 0, "", "retention", "show", "crew/a").stdout; out != "kept: last 1000, within 30d, by the default\n" {
		t.Errorf("show: %q", out)
	}
}

// eventually waits until done, within the time that one command may take.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(commandLimit); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}
