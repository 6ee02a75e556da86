// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
)

func openDirectory(t *testing.T, path, name string) *Directory {
	t.Helper()
	d, err := OpenDirectory(path, name, DirectoryOptions{BallastBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// A directory is made private with an id of its own, which it keeps.
func TestDirectory_NewAndReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	d := openDirectory(t, path, "n1")
	id := d.Node().State().Node
	if NodeName(id) != "n1" || d.Path() != path {
		t.Fatal(id, d.Path())
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{"": 0o700, nodeFileName: 0o600, lockFileName: 0o600} {
			if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%q has mode %v, %v; want %v", name, info.Mode(), err, want)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash in the middle of writing a new node.json leaves this behind.
	must(t, os.WriteFile(filepath.Join(path, nodeFileName+".tmp"), []byte(checksumPrefix), 0o600))
	if again := openDirectory(t, path, "n1"); again.Node().State().Node != id {
		t.Errorf("id changed from %s to %s", id, again.Node().State().Node)
	}
	if other := openDirectory(t, t.TempDir(), "n1"); other.Node().State().Node == id {
		t.Error("two directories have one id")
	}
}

// What cannot be used is refused with words that name what is there and what
// was asked, and is left as it was.
func TestDirectory_Refused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		spoil  func(dir string)
		as     string // node name; "" is n1
		reason halt.Reason
		says   string
	}{
		{"of another node", nil, "n2", halt.Directory, `belongs to node "n1" (n1-`},
		{"bad name", nil, "N1", halt.Directory, "may hold only a-z"},
		{"others can read it", func(dir string) { chmod(t, dir, 0o750) }, "", halt.Directory, "mode 0750"},
		{"others can read node.json", func(dir string) { chmod(t, filepath.Join(dir, nodeFileName), 0o644) }, "", halt.Directory, "mode 0644"},
		{"node.json lost", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, nodeFileName)))
			must(t, os.Mkdir(filepath.Join(dir, "wal"), 0o700))
			must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
		}, "", halt.Directory, "is missing, but the directory holds wal, state"},
		{"node.json empty", func(dir string) { write(t, dir, nil) }, "", halt.Damaged, "does not match its checksum"},
		{"node.json cut", func(dir string) { write(t, dir, read(t, dir)[:100]) }, "", halt.Damaged, "does not match its checksum"},
		{"node.json with a flipped bit", func(dir string) {
			data := read(t, dir)
			data[len(data)/2] ^= 1
			write(t, dir, data)
		}, "", halt.Damaged, "does not match its checksum"},
		{"node.json of zeros", func(dir string) { write(t, dir, make([]byte, 300)) }, "", halt.Damaged, "checksum"},
		{"a directory where node.json.tmp was", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, nodeFileName)))
			must(t, os.Mkdir(filepath.Join(dir, nodeFileName+".tmp"), 0o700))
		}, "", halt.Directory, "is a directory"},
		{"node.json huge", func(dir string) { write(t, dir, make([]byte, 3<<20)) }, "", halt.Damaged, "checksum"},
		{"newer format", func(dir string) {
			body := []byte(`{"format": 7, "something": "new"}`)
			write(t, dir, []byte(checksumPrefix+checksum(body)+checksumSuffix+string(body)+"}\n"))
		}, "", halt.Directory, "format 7, this binary knows up to 1"},
		{"node.json is a directory", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, nodeFileName)))
			must(t, os.Mkdir(filepath.Join(dir, nodeFileName), 0o700))
		}, "", halt.Directory, "not a regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(tc.name, "others") {
				t.Skip("windows has no such modes")
			}
			dir := filepath.Join(t.TempDir(), "data")
			must(t, openDirectory(t, dir, "n1").Close())
			if tc.spoil != nil {
				tc.spoil(dir)
			}
			before, _ := os.ReadFile(filepath.Join(dir, nodeFileName))
			if tc.as == "" {
				tc.as = "n1"
			}
			_, err := OpenDirectory(dir, tc.as, DirectoryOptions{})
			he, ok := errors.AsType[*halt.Error](err)
			if !ok || he.Reason != tc.reason || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("got %v, want %s with %q", err, tc.reason, tc.says)
			}
			if after, _ := os.ReadFile(filepath.Join(dir, nodeFileName)); !bytes.Equal(before, after) {
				t.Error("node.json was changed")
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := OpenDirectory(file, "n1", DirectoryOptions{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as the directory: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) { t.Helper(); must(t, os.Chmod(path, mode)) }

func read(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, nodeFileName))
	must(t, err)
	return data
}

func write(t *testing.T, dir string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, nodeFileName), data, 0o600))
}

// TestMain lets the test binary be the other process that holds a directory.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HAWSER_TEST_HOLD"); dir != "" {
		if _, err := OpenDirectory(dir, "n1", DirectoryOptions{}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test closes it
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A directory in use is refused, naming the file and the process to stop, also
// within one process; a process that is killed leaves no lock behind.
func TestDirectory_InUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := openDirectory(t, dir, "n1")
	if _, err := OpenDirectory(dir, "n1", DirectoryOptions{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("opened twice in one process: %v", err)
	}
	must(t, d.Close())
	exe, err := os.Executable()
	must(t, err)
	holder := exec.CommandContext(t.Context(), exe)
	holder.Env = append(os.Environ(), "HAWSER_TEST_HOLD="+dir)
	stdin, err := holder.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	said := make([]byte, 4)
	if _, err := stdout.Read(said); err != nil || string(said) != "held" {
		t.Fatalf("the other process says %q, %v", said, err)
	}
	_, err = OpenDirectory(dir, "n1", DirectoryOptions{})
	he, ok := errors.AsType[*halt.Error](err)
	if !ok || he.Reason != halt.Directory || he.Where != filepath.Join(dir, lockFileName) || !strings.Contains(err.Error(), fmt.Sprintf("stop process %d", holder.Process.Pid)) {
		t.Errorf("held by process %d: %v", holder.Process.Pid, err)
	}
	must(t, holder.Process.Kill())
	_ = holder.Wait()
	must(t, openDirectory(t, dir, "n1").Close())
}

// A node that had raft state and lost a part of it does not start; one that
// never had any may miss everything.
func TestDirectory_Require(t *testing.T) {
	d := openDirectory(t, t.TempDir(), "n1")
	must(t, d.Require("wal", "stable.db"))
	must(t, d.Node().Update(func(s *State) error { s.ClusterID, s.Generation = ClusterID{1}, 1; return nil }))
	must(t, d.Require("wal"))
	must(t, MarkStarted(d.Node()))
	must(t, os.Mkdir(filepath.Join(d.Path(), "wal"), 0o700))
	must(t, d.Require("wal"))
	err := d.Require("wal", "stable.db")
	if he, ok := errors.AsType[*halt.Error](err); !ok || he.Reason != halt.Damaged || !strings.Contains(err.Error(), "stable.db") {
		t.Fatal(err)
	}
}

// A node without a cluster that finds raft state has somebody else's files.
func TestMarkStarted_Foreign(t *testing.T) {
	d := openDirectory(t, t.TempDir(), "n1")
	if he, ok := errors.AsType[*halt.Error](MarkStarted(d.Node())); !ok || he.Reason != halt.Directory {
		t.Fatal(he)
	}
}

// The ballast is made where there is room, given up where there is none, and
// made again only when there is plenty.
func TestDirectory_Ballast(t *testing.T) {
	d := openDirectory(t, t.TempDir(), "n1")
	free := uint64(1 << 30)
	d.free = func(string) (uint64, uint64, error) { return free, 1 << 40, nil }
	exists := func() int64 {
		info, err := os.Stat(filepath.Join(d.Path(), ballastName))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for _, step := range []struct {
		free uint64
		want bool
	}{{1 << 30, true}, {1 << 20, true}, {1<<20 - 1, false}, {3 << 20, false}, {4 << 20, true}, {0, false}} {
		free = step.free
		got, err := d.EnsureBallast()
		if err != nil || got != step.want || (exists() == 1<<20) != step.want || !step.want && exists() != 0 {
			t.Fatalf("%d free: ballast %v (%d bytes), %v; want %v", free, got, exists(), err, step.want)
		}
	}
	free = 1 << 30
	must(t, os.WriteFile(filepath.Join(d.Path(), ballastName), []byte("half"), 0o600))
	if got, err := d.EnsureBallast(); err != nil || !got || exists() != 1<<20 {
		t.Fatalf("a half made ballast: %v, %v, %d bytes", got, err, exists())
	}
	must(t, d.ReleaseBallast())
	must(t, d.ReleaseBallast())
	d.ballastBytes = -1
	if got, err := d.EnsureBallast(); err != nil || got || exists() != 0 {
		t.Fatalf("no ballast wanted: %v, %v", got, err)
	}
}

// The ballast's bytes are really taken from the disk.
func TestDirectory_BallastTakesSpace(t *testing.T) {
	d, err := OpenDirectory(t.TempDir(), "n1", DirectoryOptions{})
	must(t, err)
	defer d.Close()
	before, total, err := FreeSpace(d.Path())
	if err != nil || before == 0 || total < before {
		t.Fatal(before, total, err)
	}
	if before < 1<<30 {
		t.Skip("less than 1 GiB is free here")
	}
	start := time.Now()
	if ok, err := d.EnsureBallast(); err != nil || !ok {
		t.Fatal(ok, err)
	}
	t.Logf("64 MiB in %v", time.Since(start))
	info, err := os.Stat(filepath.Join(d.Path(), ballastName))
	must(t, err)
	if info.Size() != 64<<20 || allocated(info) < 64<<20 {
		t.Fatalf("ballast has %d bytes, %d of them on disk", info.Size(), allocated(info))
	}
}
