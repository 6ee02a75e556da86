// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/snapshot"
)

// archived is an agent of a test archive and the states of its versions.
type archived struct {
	name   string
	states []string
}

// itemsOf returns the encoded items of agents, which must be in order.
func itemsOf(agents ...archived) [][]byte {
	var items [][]byte
	add := func(item snapshot.Item) { items = append(items, snapshot.AppendItem(nil, item)) }
	segment := uint64(0)
	for _, a := range agents {
		n := uint64(len(a.states))
		add(&snapshot.Agent{ID: hawser.AgentID{Namespace: "default", Name: a.name}, Head: n, Live: n, Versions: n, Created: 1})
		for _, state := range a.states {
			segment++
			add(&snapshot.Segment{ID: segment})
			add(&snapshot.Content{Segment: segment, Content: record.EncodeKeyframe([]byte(state))})
		}
		for i, state := range a.states {
			add(&snapshot.Version{
				Version: hawser.Version{
					Number: uint64(i + 1), Parent: uint64(i), Size: int64(len(state)), SHA256: sha256.Sum256([]byte(state)), State: hawser.VersionLive,
					CreatedAt: time.Unix(1_700_000_000+int64(i)*60, 0), Revision: hawser.Revision(i + 1), Labels: map[string]string{"step": fmt.Sprint(i + 1)},
				},
				Kind: hawser.RequestSave, Segment: segment - n + uint64(i) + 1,
			})
		}
	}
	return items
}

var crew = []archived{
	{"crew/planner", []string{"plan one", "plan two"}},
	{"crew/writer", []string{"a draft"}},
	{"researcher-7", []string{"notes", "more notes", strings.Repeat("many notes ", 100)}},
}

// archiveFile writes an archive of agents and returns its path.
func archiveFile(t *testing.T, agents ...archived) string {
	t.Helper()
	return archiveOf(t, itemsOf(agents...))
}

// archiveOf writes an archive of items and returns its path.
func archiveOf(t *testing.T, items [][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.hawser")
	var file bytes.Buffer
	w, err := snapshot.NewWriter(&file, snapshot.Header{
		ClusterID: [16]byte{1, 2, 3}, Generation: 1_700_000_000, Revision: 42, CreatedAt: time.Unix(1_700_000_500, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if err := w.AppendEncoded(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// want runs a command line and fails the test unless it ends with the code and
// says something with these words.
func want(t *testing.T, code int, words string, args ...string) result {
	t.Helper()
	got := command(t, nil, args...)
	if got.code != code || !strings.Contains(got.stdout+got.stderr, words) {
		t.Fatalf("hawser %s: code %d, want %d and %q\nstdout: %s\nstderr: %s", strings.Join(args, " "), got.code, code, words, got.stdout, got.stderr)
	}
	return got
}

// filesIn returns the names in a folder.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Claim: inspect shows what an archive holds, as a table and as JSON with
// stable keys, and a prefix selects whole segments.
func TestSnapshotInspect(t *testing.T) {
	path := archiveFile(t, crew...)
	got := want(t, codeOK, "researcher-7", "snapshot", "inspect", path)
	golden(t, "inspect.txt", got.stdout)
	view := decode[struct {
		archiveView
		Agents []entryView
	}](t, want(t, codeOK, "", "snapshot", "inspect", path, "-o", "json").stdout)
	if view.Totals.Agents != 3 || view.Totals.Versions != 6 || view.Revision != 42 || len(view.Agents) != 3 ||
		view.Agents[0].Agent != "crew/planner" || view.Agents[2].Version != 3 || view.Agents[2].ContentBytes != 5+10+1100 {
		t.Errorf("%+v", view)
	}
	view = decode[struct {
		archiveView
		Agents []entryView
	}](t, want(t, codeOK, "", "snapshot", "inspect", path, "crew", "-o", "json").stdout)
	if len(view.Agents) != 2 || view.Totals.Agents != 3 {
		t.Errorf("%+v", view.Agents)
	}
	view = decode[struct {
		archiveView
		Agents []entryView
	}](t, want(t, codeOK, "", "snapshot", "inspect", path, "none", "-o", "json").stdout)
	if view.Agents == nil || len(view.Agents) != 0 {
		t.Errorf("%+v", view.Agents)
	}
	if cut := want(t, codeOK, "there are more", "snapshot", "inspect", path, "--limit", "2"); strings.Contains(cut.stdout, "researcher-7") {
		t.Error(cut.stdout)
	}
	want(t, codeOK, "agents", "snapshot", "inspect", path, "--namespace", "other")
}

// Claim: a list that is longer than what is laid out at once is whole, in both
// forms.
func TestSnapshotInspect_Long(t *testing.T) {
	var many []archived
	for i := range 2*rowsAtOnce + 10 {
		many = append(many, archived{fmt.Sprintf("agent-%06d", i), []string{"x"}})
	}
	path := archiveFile(t, many...)
	text := want(t, codeOK, "", "snapshot", "inspect", path, "--limit", "0").stdout
	if n := strings.Count(text, "default/agent-"); n != len(many) {
		t.Errorf("%d rows of %d", n, len(many))
	}
	view := decode[struct{ Agents []entryView }](t, want(t, codeOK, "", "snapshot", "inspect", path, "--limit", "0", "-o", "json").stdout)
	if len(view.Agents) != len(many) {
		t.Errorf("%d agents of %d", len(view.Agents), len(many))
	}
}

// Claim: verify says that all is good, or names the damage and exits with 1.
func TestSnapshotVerify(t *testing.T) {
	path := archiveFile(t, crew...)
	want(t, codeOK, "verified 3 agents with 6 versions", "snapshot", "verify", path)
	view := decode[reportView](t, want(t, codeOK, "", "snapshot", "verify", path, "-o", "json").stdout)
	if !view.OK || view.First != nil || view.Bad == nil || !view.SHA256OK {
		t.Errorf("%+v", view)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(file, []byte("more notes"))
	if at < 0 {
		at = bytes.Index(file, []byte("notes"))
	}
	file[at] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	got := want(t, codeError, "at offset", "snapshot", "verify", path)
	if !strings.Contains(got.stdout, "default/researcher-7") || strings.Contains(got.stdout, "crew") || !strings.Contains(got.stderr, path) {
		t.Errorf("%+v", got)
	}
	broken := decode[reportView](t, want(t, codeError, "", "snapshot", "verify", path, "-o", "json").stdout)
	if broken.OK || broken.First == nil || broken.First.Agent != "default/researcher-7" || len(broken.Bad) == 0 {
		t.Errorf("%+v", broken)
	}
	// What is not damaged can still be had.
	want(t, codeOK, "a draft", "snapshot", "extract", path, "crew/writer", "-f", "-")
	want(t, codeError, "offset", "snapshot", "restore", path, "--agent", "researcher-7")
}

// Claim: a file that is no archive, or cut, or missing, is an error that says so
// and has no partial result.
func TestSnapshot_NoArchive(t *testing.T) {
	path := archiveFile(t, crew...)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.hawser")
	if err := os.WriteFile(cut, file[:len(file)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect", cut},
		{"verify", cut},
		{"extract", cut, "crew/writer", "-d", filepath.Join(dir, "out")},
		{"diff", path, cut},
		{"restore", cut},
		{"restore", cut, "--prefix", "crew"},
	} {
		got := want(t, codeError, "cut short", append([]string{"snapshot"}, args...)...)
		if got.stdout != "" {
			t.Errorf("%q printed %q", args, got.stdout)
		}
	}
	want(t, codeError, "no such file", "snapshot", "inspect", filepath.Join(dir, "none"))
	want(t, codeError, "not a regular file", "snapshot", "inspect", dir)
	if names := filesIn(t, dir); !slices.Equal(names, []string{"cut.hawser"}) {
		t.Errorf("files: %q", names)
	}
}

// Claim: extract writes the versions that it is asked for, byte for byte, and
// replaces nothing unless told to.
func TestSnapshotExtract(t *testing.T) {
	path, dir := archiveFile(t, crew...), t.TempDir()
	out := filepath.Join(dir, "states")
	want(t, codeOK, "crew%2Fplanner@2", "snapshot", "extract", path, "crew/planner", "-d", out)
	wantFile(t, filepath.Join(out, "crew%2Fplanner@2"), "plan two", 0o600)
	got := want(t, codeError, "--force", "snapshot", "extract", path, "crew/planner", "-d", out, "--all")
	if strings.Contains(got.stdout, "@2") {
		t.Error(got.stdout)
	}
	want(t, codeOK, "crew%2Fplanner@1", "snapshot", "extract", path, "crew/planner", "-d", out, "--all", "--force")
	if names := filesIn(t, out); !slices.Equal(names, []string{"crew%2Fplanner@1", "crew%2Fplanner@2"}) {
		t.Errorf("files: %q", names)
	}
	file := filepath.Join(dir, "state")
	want(t, codeOK, "", "snapshot", "extract", path, "researcher-7", "--version", "2", "-f", file)
	wantFile(t, file, "more notes", 0o600)
	want(t, codeError, "exists", "snapshot", "extract", path, "researcher-7", "-f", file)
	if got := want(t, codeOK, "", "snapshot", "extract", path, "researcher-7", "--version", "1", "-f", "-"); got.stdout != "notes" {
		t.Errorf("%q", got.stdout)
	}
	want(t, codeNotFound, "not in this archive", "snapshot", "extract", path, "nobody", "-f", "-")
	want(t, codeNotFound, "not in this archive", "snapshot", "extract", path, "researcher-7", "--version", "9", "-f", "-")
	want(t, codeUsage, "where to", "snapshot", "extract", path, "researcher-7")
	want(t, codeUsage, "--all needs", "snapshot", "extract", path, "researcher-7", "--all", "-f", "-")
}

// Claim: no agent's name makes a file's name that leaves the folder, hides, is
// a device, or is that of another agent.
func TestFileName(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{
		"a", "A", "crew/planner", "../../etc/passwd", "..", ".", ".hidden", "/etc/passwd", "C:\\x", "NUL", "con.txt", "a b", "a%2Fb", "a/b", "a@1",
		"überblick", "-rf", "x\x00y", "x\ny", strings.Repeat("long/", 100), strings.Repeat("long/", 99) + "other",
	} {
		got := fileName(hawser.VersionRef{Agent: hawser.AgentID{Namespace: "default", Name: name}, Number: 7})
		if !filepath.IsLocal(got) || strings.ContainsAny(got, "./\\: \x00\n") || strings.HasPrefix(got, "-") || !strings.HasSuffix(got, "@7") || len(got) > 200 {
			t.Errorf("%q: %q", name, got)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%q and %q are both %q", name, other, got)
		}
		seen[got] = name
	}
}

// Claim: diff says what was added, removed and changed.
func TestSnapshotDiff(t *testing.T) {
	from := archiveFile(t, crew...)
	to := archiveFile(t, crew[0], archived{"new", []string{"x"}}, archived{"researcher-7", []string{"notes", "more notes", "other"}})
	got := want(t, codeOK, "1 added, 1 removed, 1 changed", "snapshot", "diff", from, to)
	for _, line := range []string{"removed  default/crew/writer   1", "added    default/new                1", "changed  default/researcher-7  3    3"} {
		if !strings.Contains(got.stdout, line) {
			t.Errorf("%q is missing in\n%s", line, got.stdout)
		}
	}
	want(t, codeOK, "0 added, 0 removed, 0 changed", "snapshot", "diff", from, from)
	view := decode[struct {
		From    string
		Changes []changeView
	}](t, want(t, codeOK, "", "snapshot", "diff", from, to, "-o", "json").stdout)
	if view.From != from || len(view.Changes) != 3 || view.Changes[0] != (changeView{Change: removed, Namespace: "default", Agent: "crew/writer", OldVersion: 1}) {
		t.Errorf("%+v", view)
	}
}
