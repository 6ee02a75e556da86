// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostileAgents is an archive whose agents have names that no cluster takes.
var hostileAgents = []archived{
	{"../../evil", []string{"one"}},
	{"/etc/evil", []string{"two"}},
	{"a/../../evil", []string{"three"}},
	{"crew/planner", []string{"plan one", "plan two"}},
	{"x\u009b31m\u202e", []string{"four"}},
	{"x\xff\x7f", []string{"five"}},
}

// Claim: an archive cannot make extract write outside the folder, whatever its
// agents are called, nor restore save under such a name; and what it prints of
// them moves no cursor.
func TestSnapshot_HostileNames(t *testing.T) {
	path := archiveFile(t, hostileAgents...)
	dir := t.TempDir()
	out := filepath.Join(dir, "a", "b")
	for _, agent := range hostileAgents {
		if agent.name == "crew/planner" {
			continue
		}
		want(t, codeUsage, "agent name", "snapshot", "extract", path, agent.name, "--all", "-d", out)
		want(t, codeUsage, "agent name", "snapshot", "restore", path, "--agent", agent.name, "--endpoints", "127.0.0.1:1")
	}
	if names := filesIn(t, dir); len(names) != 0 {
		t.Errorf("files: %q", names)
	}
	for _, args := range [][]string{{"inspect", path}, {"diff", path, archiveFile(t, crew...)}} {
		got := want(t, codeOK, "evil", append([]string{"snapshot"}, args...)...)
		if strings.ContainsAny(got.stdout+got.stderr, "\u009b\u202e\x7f\x1b") || strings.Contains(got.stdout, "\xff") {
			t.Errorf("%q", got.stdout)
		}
	}
	want(t, codeOK, "all good", "snapshot", "verify", path)
}

// Claim: links that stand where extract writes are not followed: without
// --force it stops, with it they are replaced, and what they lead to stays as it
// is.
func TestSnapshotExtract_FollowsNoLinks(t *testing.T) {
	path := archiveFile(t, crew...)
	dir := t.TempDir()
	out, victim, fresh := filepath.Join(dir, "out"), filepath.Join(dir, "victim"), filepath.Join(dir, "fresh")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"crew%2Fplanner@1": victim, "crew%2Fplanner@1.partial": victim, "crew%2Fplanner@2": fresh, "crew%2Fplanner@2.partial": "../fresh",
	} {
		if err := os.Symlink(target, filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	extract := []string{"snapshot", "extract", path, "crew/planner", "--all", "-d", out}
	want(t, codeError, "--force", extract...)
	want(t, codeOK, "crew%2Fplanner@2", append(extract, "--force")...)
	wantFile(t, victim, "precious", 0o600)
	wantFile(t, filepath.Join(out, "crew%2Fplanner@1"), "plan one", 0o600)
	wantFile(t, filepath.Join(out, "crew%2Fplanner@2"), "plan two", 0o600)
	if names := filesIn(t, dir); !slices.Equal(names, []string{"out", "victim"}) {
		t.Errorf("files: %q", names)
	}
	for _, name := range filesIn(t, out) {
		if info, err := os.Lstat(filepath.Join(out, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	want(t, codeError, "not a regular file", "snapshot", "extract", path, "crew/writer", "-f", link, "--force")
	wantFile(t, victim, "precious", 0o600)
}
