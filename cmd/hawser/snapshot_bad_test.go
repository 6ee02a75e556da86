// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/snapshot"
)

// spoiled returns the crew's items, with another SHA-256 in the given versions of
// researcher-7, which are in a state.
func spoiled(t *testing.T, state hawser.VersionState, numbers ...uint64) [][]byte {
	t.Helper()
	items, agent := itemsOf(crew...), ""
	for i := range items {
		item, err := snapshot.ParseItem(items[i])
		if err != nil {
			t.Fatal(err)
		}
		switch item := item.(type) {
		case *snapshot.Agent:
			agent = item.ID.Name
		case *snapshot.Version:
			if agent == "researcher-7" && slices.Contains(numbers, item.Number) {
				item.SHA256[0] ^= 1
				item.State = state
				items[i] = snapshot.AppendItem(nil, item)
			}
		}
	}
	return items
}

// Claim: when the version that is asked for is bad, restore and extract change
// nothing and name the newest one that is good, with the flags that select it.
func TestSnapshot_BadHead(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1"
	out := filepath.Join(t.TempDir(), "out")
	path := archiveOf(t, spoiled(t, hawser.VersionBad, 3))
	restore := []string{"snapshot", "restore", path, "--endpoints", nobody}
	const good = "its newest good version in the archive is 2: "
	for _, args := range [][]string{
		append(slices.Clone(restore), "--agent", "researcher-7"),
		append(slices.Clone(restore), "--agent", "researcher-7", "--version", "3"),
		append(slices.Clone(restore), "--prefix", "researcher-7"),
	} {
		got := want(t, codeError, good+"--agent researcher-7 --version 2\n", args...)
		if !strings.Contains(got.stderr, "nothing was restored") || !strings.Contains(got.stderr, "marked as bad") || got.stdout != "" {
			t.Errorf("%+v", got)
		}
	}
	want(t, codeError, good+"--version 2\n", "snapshot", "extract", path, "researcher-7", "-f", out)
	if got := want(t, codeError, good+"--version 2\n", "snapshot", "extract", path, "researcher-7", "-d", filepath.Dir(out)); got.stdout != "" {
		t.Errorf("%+v", got)
	}
	if names := filesIn(t, filepath.Dir(out)); len(names) != 0 {
		t.Errorf("files: %q", names)
	}
	want(t, codeOK, "more notes", "snapshot", "extract", path, "researcher-7", "--version", "2", "-f", "-")

	path = archiveOf(t, spoiled(t, hawser.VersionBad, 1, 2, 3))
	want(t, codeError, "no version of it in the archive is good", "snapshot", "restore", path, "--agent", "researcher-7", "--endpoints", nobody)
}

// Claim: a version that is not what its hash says and that nobody marked makes
// verify and a restore of everything name it and the way out; that way works.
// One that is marked does neither.
func TestSnapshot_BadUnmarked(t *testing.T) {
	t.Parallel()
	path := archiveOf(t, spoiled(t, hawser.VersionLive, 2))
	for _, verb := range []string{"verify", "restore"} {
		got := want(t, codeError, "version 2 has SHA-256", "snapshot", verb, path)
		for _, words := range []string{"default/researcher-7", "--agent NAME", "--version N", "--prefix", "save again"} {
			if !strings.Contains(got.stderr, words) {
				t.Errorf("%s: %q is missing in %s", verb, words, got.stderr)
			}
		}
	}
	if got := want(t, codeError, "", "snapshot", "verify", path); strings.Count(got.stdout, "default/researcher-7  2 ") != 1 {
		t.Error(got.stdout)
	}
	for _, args := range [][]string{{"--prefix", "crew"}, {"--agent", "researcher-7"}, {"--agent", "researcher-7", "--version", "1"}} {
		args = append([]string{"snapshot", "restore", path, "--dry-run", "--endpoints", "127.0.0.1:1", "--timeout", "50ms"}, args...)
		want(t, codeUnavailable, "", args...) // all was rebuilt: only the cluster is missing
	}
	want(t, codeOK, "1 version had been marked as bad", "snapshot", "verify", archiveOf(t, spoiled(t, hawser.VersionBad, 2)))
}
