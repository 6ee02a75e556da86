// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/snapshot"
)

// fakeCluster sends items, and takes them.
type fakeCluster struct {
	items [][]byte
	fail  func(sent int) error // nil: never; may wait for ctx
	stall bool                 // send nothing more after the first item

	taken [][]byte
	start client.ImportStart
}

func (f *fakeCluster) Export(
	ctx context.Context, _, _ string, start func(client.ExportStart) error, items func([][]byte) error, _ ...client.ReadOption,
) error {
	if err := start(client.ExportStart{Generation: 7, Revision: 9, Time: time.Unix(1_700_000_000, 0), Cluster: make([]byte, 16), Agents: uint64(len(f.items))}); err != nil {
		return err
	}
	for i, item := range f.items {
		if f.fail != nil {
			if err := f.fail(i); err != nil {
				return err
			}
		}
		if err := items([][]byte{item}); err != nil {
			return err
		}
		if f.stall {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return ctx.Err()
}

func (f *fakeCluster) Import(_ context.Context, start client.ImportStart, items iter.Seq2[[]byte, error]) (client.Imported, error) {
	f.start = start
	for item, err := range items {
		if err != nil {
			return client.Imported{}, err
		}
		f.taken = append(f.taken, bytes.Clone(item))
	}
	return client.Imported{Agents: start.Agents, Versions: start.Versions}, nil
}

func quiet() *program { return &program{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}} }

// Claim: a save that ends well leaves one file, which is an archive of all that
// was sent; it replaces another only with --force.
func TestSaveJob(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.hawser")
	from := &fakeCluster{items: itemsOf(crew...)}
	job := saveJob{path: path, namespace: "default", stall: time.Minute, bar: quiet().progress("")}
	for _, force := range []bool{false, true} {
		job.force = force
		saved, err := job.run(t.Context(), from)
		if err != nil || saved.Agents != 3 || saved.Versions != 6 || saved.Revision != 9 {
			t.Fatalf("%+v, %v", saved, err)
		}
		if names := filesIn(t, dir); !slices.Equal(names, []string{"a.hawser"}) {
			t.Fatalf("files: %q", names)
		}
		want(t, codeOK, saved.SHA256, "snapshot", "verify", path)
	}
	job.force = false
	if _, err := job.run(t.Context(), from); !errors.Is(err, os.ErrExist) {
		t.Errorf("an archive was replaced: %v", err)
	}
}

// Claim: whatever ends a save in between, no file stays under the name or any
// other, and an old archive under the name stays as it is.
func TestSaveJob_InterruptedLeavesNothing(t *testing.T) {
	items := itemsOf(crew...)
	failed := errors.New("node gone")
	for name, from := range map[string]*fakeCluster{
		"node gone":      {items: items, fail: failAt(5, failed)},
		"at once":        {items: items, fail: failAt(0, failed)},
		"stalls":         {items: items, stall: true},
		"incomplete":     {items: items[:len(items)-1]},
		"not in order":   {items: append(slices.Clone(items), items[0])},
		"malformed item": {items: append(slices.Clone(items), []byte("nonsense"))},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.hawser")
		old := []byte("the archive of yesterday")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		job := saveJob{path: path, force: true, stall: 50 * time.Millisecond, bar: quiet().progress("")}
		_, err := job.run(t.Context(), from)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if from.stall && (!errors.Is(err, hawser.ErrUnavailable) || !strings.Contains(err.Error(), "nothing moved")) {
			t.Errorf("%s: %v", name, err)
		}
		if names := filesIn(t, dir); !slices.Equal(names, []string{"a.hawser"}) {
			t.Errorf("%s: files: %q", name, names)
		}
		wantFile(t, path, string(old), 0o600)
	}
}

// Claim: Ctrl-C ends a save and removes what it wrote.
func TestSaveJob_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	from := &fakeCluster{items: itemsOf(crew...), fail: func(sent int) error {
		if sent == 3 {
			if names := filesIn(t, dir); len(names) != 1 || !strings.HasPrefix(names[0], "a.hawser.partial-") {
				t.Errorf("files while saving: %q", names)
			}
			cancel()
			return ctx.Err()
		}
		return nil
	}}
	job := saveJob{path: filepath.Join(dir, "a.hawser"), stall: time.Minute, bar: quiet().progress("")}
	if _, err := job.run(ctx, from); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if names := filesIn(t, dir); len(names) != 0 {
		t.Errorf("files: %q", names)
	}
}

func failAt(n int, err error) func(int) error {
	return func(sent int) error {
		if sent == n {
			return err
		}
		return nil
	}
}

// Claim: a whole restore sends every item in order, and says whose they are.
func TestImportArchive(t *testing.T) {
	path := archiveFile(t, crew...)
	a, closeFile, err := openArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile()
	to := &fakeCluster{}
	if err := quiet().importArchive(t.Context(), a, to, time.Minute); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(to.taken, itemsOf(crew...), bytes.Equal) {
		t.Errorf("%d items", len(to.taken))
	}
	wanted := client.ImportStart{Archive: a.SHA256(), Generation: 1_700_000_000, Revision: 42, Agents: 3, Versions: 6}
	if to.start != wanted {
		t.Errorf("%+v", to.start)
	}
	if err := checkEmpty(t.Context(), &fakeCluster{}, time.Minute); err != nil {
		t.Error(err)
	}
	if err := checkEmpty(t.Context(), &fakeCluster{items: itemsOf(crew...)}, time.Minute); !errors.Is(err, hawser.ErrRefused) {
		t.Error(err)
	}
}

// Claim: command lines that cannot be meant are usage errors, before anything
// is asked or written.
func TestSnapshot_Usage(t *testing.T) {
	path := archiveFile(t, crew...)
	for _, args := range [][]string{
		{"save", "x", "--all-namespaces", "--prefix", "crew"},
		{"save", "x", "--prefix", "crew//x"},
		{"save", "-"},
		{"restore", path, "--agent", "a", "--prefix", "crew"},
		{"restore", path, "--version", "3"},
		{"restore", path, "--as", "b"},
		{"restore", path, "--prefix", ""},
		{"inspect", path, "../x"},
		{"extract", path, "../x", "-f", "-"},
	} {
		want(t, codeUsage, "hawser: ", append([]string{"snapshot"}, args...)...)
	}
	want(t, codeUsage, "finished by renaming", "snapshot", "save", "-", "--all-namespaces", "--force")
	if _, err := os.Lstat("-"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file called -: %v", err)
	}
	want(t, codeNotFound, "has none", "snapshot", "restore", path, "--prefix", "none")
	want(t, codeNotFound, "not in this archive", "snapshot", "restore", path, "--agent", "none")
	want(t, codeNotFound, "not in this archive", "snapshot", "restore", path, "--agent", "crew/writer", "--version", "4")
}

// Claim: the label that names the archive fits, whatever the agent is called.
func TestArchiveLabel(t *testing.T) {
	for _, name := range []string{"a", strings.Repeat("x", hawser.MaxAgentName), strings.Repeat("ü", hawser.MaxAgentName/2)} {
		got := archiveLabel(hawser.Hash{0xab}, hawser.VersionRef{Agent: hawser.AgentID{Namespace: "default", Name: name}, Number: 12})
		if len(got) > hawser.MaxLabelValue || !strings.HasPrefix(got, "ab00000000000000 default/") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%q", got)
		}
	}
	var _ importer = (*client.Client)(nil)
	var _ snapshot.Item = (*snapshot.Agent)(nil)
}

// Claim: a bar is drawn on a terminal only, and is gone when it is cleared.
func TestProgress(t *testing.T) {
	p := quiet()
	bar := p.progress("saving")
	bar.show(1, 2, "x")
	bar.clear()
	if out := p.stderr.(*bytes.Buffer).String(); out != "" {
		t.Errorf("%q where no terminal is", out)
	}
	var out bytes.Buffer
	bar = &progress{out: &out, what: "saving"}
	bar.show(1, 2, "x")
	bar.show(2, 2, "too soon")
	bar.clear()
	if got := out.String(); !strings.Contains(got, "###.....") && !strings.Contains(got, " 50 % x") || strings.Contains(got, "soon") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
	for n, text := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := byteCount(n); got != text {
			t.Errorf("%d: %q", n, got)
		}
	}
}
