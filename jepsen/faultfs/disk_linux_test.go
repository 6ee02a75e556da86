// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func mount(t *testing.T) *Disk {
	t.Helper()
	d, err := Mount(t.TempDir())
	if err != nil {
		t.Skipf("SKIPPED: nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func syncDir(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	must(t, f.Sync(), f.Close())
}

// Claim: a process that is started does not have the device of the file system,
// without which the kernel would not give it up when its server is gone.
func TestDisk_DeviceIsNotInherited(t *testing.T) {
	mount(t)
	out, err := exec.CommandContext(t.Context(), "ls", "-l", "/proc/self/fd").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("/dev/fuse")) {
		t.Errorf("a child has open: %v\n%s", err, out)
	}
}

// Claim: what was synced survives a power failure, whatever happened to it since;
// what was not is lost in some failures, kept in others, and in part in others.
func TestDisk_PowerFailure(t *testing.T) {
	d := mount(t)
	dir := filepath.Join(d.Path(), "data")
	must(t, os.Mkdir(dir, 0o700))
	syncDir(t, d.Path())
	safe, more := bytes.Repeat([]byte("s"), 5000), bytes.Repeat([]byte("m"), 5000)
	seen := map[string]bool{}
	for seed := range uint64(40) {
		name := filepath.Join(dir, fmt.Sprint(seed))
		f, err := os.Create(name)
		must(t, err)
		_, err = f.Write(safe)
		must(t, err, f.Sync())
		syncDir(t, dir)
		_, err = f.Write(more)
		must(t, err)
		_, err = f.WriteAt([]byte("x"), 10)
		must(t, err, f.Close(), os.WriteFile(name+".new", more, 0o600), os.Rename(filepath.Join(dir, fmt.Sprint(seed)), name+".renamed"))
		lost, err := d.PowerFail(rand.New(rand.NewPCG(seed, 0)))
		must(t, err)
		got, err := os.ReadFile(name)
		if err != nil {
			seen["renamed"] = true
			got, err = os.ReadFile(name + ".renamed")
			must(t, err)
		}
		if len(got) < len(safe) || !bytes.Equal(got[:10], safe[:10]) || !bytes.Equal(got[11:len(safe)], safe[11:]) {
			t.Fatalf("seed %d: what was synced is not there: %d bytes, %q", seed, len(got), got[:min(20, len(got))])
		}
		tail := bytes.Count(got[len(safe):], []byte("m"))
		seen[map[bool]string{true: "overwritten", false: "not overwritten"}[got[10] == 'x']] = true
		seen[map[bool]string{true: "appended whole", false: "appended in part, or not"}[tail == len(more)]] = true
		seen[map[bool]string{true: "torn", false: "not torn"}[tail > 0 && tail < len(more)]] = true
		if _, err := os.Stat(name + ".new"); err == nil {
			seen["made"] = true
		} else {
			seen["not made"] = true
		}
		seen[map[bool]string{true: "nothing lost", false: "something lost"}[lost == 0]] = true
	}
	for _, want := range []string{
		"renamed", "overwritten", "not overwritten", "appended whole", "appended in part, or not", "torn", "not torn", "made", "not made",
		"nothing lost", "something lost",
	} {
		if !seen[want] {
			t.Errorf("in no failure: %s", want)
		}
	}
}

// Claim: a disk fails as it is told to, and is well again after that.
// Claim: a power failure brings nothing of a removed file back into a new one that has
// its inode.
func TestDisk_PowerFailure_ReusedInodes(t *testing.T) {
	d := mount(t)
	for seed := range uint64(6) {
		for i := range 20 {
			old, now := filepath.Join(d.Path(), fmt.Sprint("old", i)), filepath.Join(d.Path(), fmt.Sprint("new", i))
			must(t, os.WriteFile(old, []byte("OLDOLDOLD"), 0o600)) // never synced
			syncDir(t, d.Path())
			must(t, os.Remove(old))
			syncDir(t, d.Path())
			must(t, os.WriteFile(now, nil, 0o600))
			syncDir(t, d.Path())
		}
		_, err := d.PowerFail(rand.New(rand.NewPCG(seed, 1)))
		must(t, err)
		for i := range 20 {
			now := filepath.Join(d.Path(), fmt.Sprint("new", i))
			if got, err := os.ReadFile(now); err != nil || len(got) > 0 {
				t.Fatalf("new%d holds %q, %v", i, got, err)
			}
			must(t, os.Remove(now))
		}
	}
}

func TestDisk_Faults(t *testing.T) {
	d := mount(t)
	f, err := os.Create(filepath.Join(d.Path(), "f"))
	must(t, err)
	defer f.Close()
	write := func() error {
		_, err := f.WriteAt([]byte("hello"), 0)
		return err
	}
	must(t, write(), f.Sync())

	d.Set(Faults{SyncError: syscall.EIO, SyncErrors: 1})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the sync that fails: %v", err)
	}
	must(t, f.Sync())
	d.Set(Faults{SyncError: syscall.EIO, SyncErrors: -1})
	for range 3 {
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("every sync fails: %v", err)
		}
	}
	d.Set(Faults{Full: true})
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := os.Create(filepath.Join(d.Path(), "g")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	d.Set(Faults{SyncDelay: 100 * time.Millisecond})
	begin := time.Now()
	must(t, write(), f.Sync())
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("a slow sync took %s", took)
	}
	d.Set(Faults{SyncHangs: true})
	done := make(chan error, 1)
	go func() { done <- f.Sync() }()
	select {
	case err := <-done:
		t.Errorf("a sync that hangs ended: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	d.Set(Faults{})
	must(t, <-done, write())
	if c := d.Counts(); c.SyncErrors != 4 || c.Refused != 2 || c.SlowSyncs == 0 || c.HungSyncs == 0 {
		t.Errorf("%+v", c)
	}
}

// An empty disk takes the place of another: nothing of the old one is left, nor
// comes back with a power failure.
func TestDisk_Wipe(t *testing.T) {
	d := mount(t)
	path := filepath.Join(d.Path(), "old")
	must(t, os.WriteFile(path, []byte("of the old one"), 0o600), os.Remove(path), os.WriteFile(path, []byte("again"), 0o600))
	into := filepath.Join(t.TempDir(), "files")
	must(t, d.Wipe(into))
	if text, err := os.ReadFile(filepath.Join(into, "old")); err != nil || string(text) != "again" {
		t.Errorf("what was moved away is %q, %v", text, err)
	}
	if lost, err := d.PowerFail(rand.New(rand.NewPCG(1, 1))); lost != 0 || err != nil {
		t.Errorf("a new disk loses %d changes, %v", lost, err)
	}
	list, err := os.ReadDir(d.Path())
	if len(list) != 0 || err != nil {
		t.Errorf("a new disk has %v, %v", list, err)
	}
}

// What is changed behind the mount is what a process reads that has the file open.
func TestDisk_Changed(t *testing.T) {
	d := mount(t)
	path := filepath.Join(d.Path(), "file")
	must(t, os.WriteFile(path, []byte("what was written"), 0o600))
	f, err := os.Open(path)
	must(t, err)
	defer func() { _ = f.Close() }()
	_, err = f.ReadAt(make([]byte, 4), 0)
	must(t, err, os.WriteFile(d.Below(path), []byte("wh\x41t"), 0o600))
	d.Changed(path)
	got := make([]byte, 4)
	_, err = f.ReadAt(got, 0)
	must(t, err)
	if string(got) != "whAt" {
		t.Errorf("the process reads %q", got)
	}
}

// A program that outlives this one must not keep the disk from ending with it.
func TestDisk_IsNotInherited(t *testing.T) {
	mount(t)
	out, err := exec.CommandContext(t.Context(), "ls", "-l", "/proc/self/fd").Output()
	must(t, err)
	if bytes.Contains(out, []byte("/dev/fuse")) {
		t.Errorf("a child has the disk's device open:\n%s", out)
	}
}
