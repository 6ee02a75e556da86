// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Claim: what a cluster holds comes back out of an archive: agent by agent into
// the running cluster, and as a whole into a new one, whose archive then holds
// the same. Any node writes the archive.
func TestSnapshot_BetweenClusters(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	dir := t.TempDir()
	for i := range 5 {
		state := strings.Repeat(fmt.Sprintf("line %d of the plan\n", i), 50*(i+1))
		f.want(t, codeOK, state, "state", "save", "crew/planner", "--label", fmt.Sprintf("step=%d", i))
	}
	f.want(t, codeOK, string(noise(400<<10)), "state", "save", "large")
	f.want(t, codeOK, "", "agent", "fork", "crew/planner@3", "crew/fork")
	f.want(t, codeOK, "a change", "state", "save", "crew/fork")
	f.want(t, codeOK, "other", "state", "save", "crew/planner", "--namespace", "research")
	f.want(t, codeOK, "soon gone", "state", "save", "gone")
	f.want(t, codeOK, "", "agent", "delete", "gone")

	all := filepath.Join(dir, "all.hawser")
	for _, n := range f.Nodes() {
		const counts = "4 agents (and 1 deleted) with 9 versions"
		saved := f.want(t, codeOK, "", "snapshot", "save", all, "--all-namespaces", "--force", "--endpoints", n.Client)
		verified := f.want(t, codeOK, "", "snapshot", "verify", all)
		if !strings.HasPrefix(saved.stdout, "saved "+counts) || !strings.HasPrefix(verified.stdout, "verified "+counts) {
			t.Fatalf("from %s: %s%s", n.Name, saved.stdout, verified.stdout)
		}
	}

	f.want(t, codeOK, "wrong turn", "state", "save", "crew/planner")
	f.want(t, codeOK, "", "agent", "delete", "large")
	dry := decode[[]restored](t, f.want(t, codeOK, "", "snapshot", "restore", all, "--prefix", "crew", "--dry-run", "-o", "json").stdout)
	if len(dry) != 2 || dry[0].Action != actionNone || dry[1].Action != actionAppend {
		t.Errorf("%+v", dry)
	}
	if got := f.want(t, codeOK, "", "state", "restore", "crew/planner"); got.stdout != "wrong turn" {
		t.Error("a dry run changed something")
	}
	f.want(t, codeOK, "", "snapshot", "restore", all, "--prefix", "crew")
	f.want(t, codeOK, "", "snapshot", "restore", all, "--agent", "large")
	f.want(t, codeOK, "", "snapshot", "restore", all, "--agent", "crew/planner", "--version", "2", "--as", "crew/second")
	if got := f.want(t, codeOK, "", "state", "restore", "crew/second"); got.stdout != strings.Repeat("line 1 of the plan\n", 100) {
		t.Errorf("%q", got.stdout)
	}
	shown := decode[versionView](t, f.want(t, codeOK, "", "state", "show", "crew/planner", "-o", "json").stdout)
	if shown.Version != 7 || shown.Labels["step"] != "4" || !strings.HasSuffix(shown.Labels[labelArchive], " default/crew/planner@5") {
		t.Errorf("%+v", shown)
	}
	if got := f.want(t, codeOK, "", "state", "restore", "large"); got.stdout != string(noise(400<<10)) {
		t.Error("the large state came back as another")
	}
	f.want(t, codeError, "", "snapshot", "restore", all) // is not empty

	fresh := startFleet(t, 1)
	fresh.want(t, codeOK, "", "snapshot", "restore", all, "--dry-run")
	if got := fresh.want(t, codeOK, "", "snapshot", "restore", all); !strings.HasPrefix(got.stdout, "restored 4 agents (and 1 deleted) with 9 versions") {
		t.Error(got.stdout)
	}
	again := filepath.Join(dir, "again.hawser")
	fresh.want(t, codeOK, "", "snapshot", "save", again, "--all-namespaces")
	fresh.want(t, codeOK, "", "snapshot", "verify", again)
	if got := fresh.want(t, codeOK, "", "snapshot", "diff", all, again); !strings.HasPrefix(got.stdout, "0 added, 0 removed, 0 changed") {
		t.Error(got.stdout)
	}
	before := decode[archiveView](t, fresh.want(t, codeOK, "", "snapshot", "inspect", all, "-o", "json").stdout)
	after := decode[archiveView](t, fresh.want(t, codeOK, "", "snapshot", "inspect", again, "-o", "json").stdout)
	if before.Totals != after.Totals || after.Generation <= before.Generation || after.Revision <= before.Revision {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if got := fresh.want(t, codeOK, "", "state", "save", "crew/planner", "--overwrite"); !strings.Contains(got.stdout, "version 6 ") {
		t.Errorf("the chain does not go on: %s", got.stdout)
	}
}

// Claim: a save that is killed, interrupted, or whose node dies never leaves a
// file under the name that is not a whole archive; one that is interrupted
// leaves nothing at all. Method: ends at the moment when some of it is written.
func TestSnapshotSave_EndedInBetween(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	dir := t.TempDir()
	for i := range 6 {
		f.want(t, codeOK, string(noise(8<<20)), "state", "save", fmt.Sprintf("large/%d", i))
	}
	for _, end := range []struct {
		name    string
		stop    func(save *os.Process) error
		partial bool // a partial file may stay
	}{
		{"kill -9", func(p *os.Process) error { return p.Kill() }, true},
		{"Ctrl-C", func(p *os.Process) error { return p.Signal(os.Interrupt) }, false},
		{"node dies", func(*os.Process) error { return f.Process(0).Kill() }, false},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(end.name, " ", "")+".hawser")
		interrupted := false
		for attempt := 0; attempt < 10 && !interrupted; attempt++ {
			interrupted = endSave(t, f, path, end.stop)
			names := slices.DeleteFunc(filesIn(t, dir), func(name string) bool { return name == filepath.Base(path) })
			for _, name := range names {
				if !end.partial || !strings.HasPrefix(name, filepath.Base(path)+".partial-") {
					t.Errorf("%s: %s stays", end.name, name)
				}
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path); err == nil { // it was faster than we
				want(t, codeOK, "verified", "snapshot", "verify", path)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				interrupted = false
			}
			if end.name == "node dies" {
				break
			}
		}
		if !interrupted && end.name != "node dies" {
			t.Errorf("%s: no save could be caught in between", end.name)
		}
	}
}

// endSave begins a save, ends it when a megabyte is written, and reports
// whether it failed.
func endSave(t *testing.T, f *fleet, path string, stop func(*os.Process) error) bool {
	t.Helper()
	save := exec.CommandContext(t.Context(), f.bin, "snapshot", "save", path, "--endpoints", strings.Join(f.Endpoints(), ","))
	var stderr bytes.Buffer
	save.Stderr = &stderr
	if err := save.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- save.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(commandLimit); ; {
		select {
		case err := <-done:
			if _, failed := errors.AsType[*exec.ExitError](err); failed {
				t.Logf("ended: %s", stderr.String())
			}
			return err != nil
		case <-tick.C:
			if time.Now().After(deadline) {
				t.Fatal("the save does not end")
			}
			if stop == nil || written(t, path) < 1<<20 {
				continue
			}
			if err := stop(save.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			stop = nil
		}
	}
}

// written returns the length of the partial file of path.
func written(t *testing.T, path string) int64 {
	t.Helper()
	files, err := filepath.Glob(path + ".partial-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			return info.Size()
		}
	}
	return 0
}

// noise returns the same bytes each time, which do not pack.
func noise(n int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = source.Read(b)
	return b
}
