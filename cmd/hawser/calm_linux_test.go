// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/procs"
)

var calmDuration = flag.Duration("calm.duration", 4*time.Second, "how long TestCalm looks on: idle, loaded, and starved (at most a minute)")

// Claim: nothing but the loss of a leader makes an election: not time, not
// load, not a disk that stands still for a second, not a lack of processor.
// Method: the term after each is the one before, the leader is the same.
// `make calm` looks on for ten minutes each.
func TestCalm(t *testing.T) {
	starved := min(*calmDuration, time.Minute)
	f, disks := startOnDisks(t, 3)
	steps := []struct {
		name string
		do   func(t *testing.T, leader int)
	}{
		{"idle", func(t *testing.T, _ int) {
			t.Helper()
			wait(t, *calmDuration)
		}},
		{"loaded", func(t *testing.T, _ int) {
			t.Helper()
			f.hawserFor(t, *calmDuration, "bench", "save", "--clients", "64", "--size", "1024")
		}},
		{"machine starved", func(t *testing.T, _ int) {
			t.Helper()
			if starved < time.Minute {
				t.Skip("SKIPPED: starves the tests of other packages too; make calm does it")
			}
			hogs := startHogs(t, 8*runtime.NumCPU())
			f.hawserFor(t, starved, "bench", "save", "--clients", "4", "--size", "1024")
			hogs()
		}},
		{"leader starved", func(t *testing.T, leader int) {
			t.Helper()
			f.throttle(t, leader, starved)
		}},
		{"disk of the leader stands still for 1 s", func(t *testing.T, leader int) {
			t.Helper()
			f.stall(t, disks, leader)
		}},
		{"disk of a follower stands still for 1 s", func(t *testing.T, leader int) {
			t.Helper()
			f.stall(t, disks, (leader+1)%3)
		}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			leader, before := f.leader(t), f.term(t)
			step.do(t, leader)
			if after := f.term(t); after != before || f.leader(t) != leader {
				t.Errorf("term %d became %d, the leader was node %d and is node %d", before, after, leader+1, f.leader(t)+1)
			}
		})
	}
}

func (f *fleet) term(t *testing.T) uint64 {
	t.Helper()
	return decode[statusView](t, f.want(t, codeOK, "", "cluster", "status", "-o", "json").stdout).Term
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// hawserFor runs a measure for so long and fails the test if it had errors.
func (f *fleet) hawserFor(t *testing.T, d time.Duration, args ...string) {
	t.Helper()
	args = append(args, "--duration", d.String(), "-o", "json")
	cmd := exec.CommandContext(t.Context(), f.bin, args...)
	cmd.Env = append(os.Environ(), "HAWSER_ENDPOINTS="+strings.Join(f.Endpoints(), ","))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("hawser %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if r := decode[benchResult](t, string(out)); r.Ops == 0 || r.Errors != 0 {
		t.Errorf("%d operations, %d errors", r.Ops, r.Errors)
	}
}

// startHogs keeps so many processes busy until stop is called, or the test
// ends.
func startHogs(t *testing.T, n int) (stop func()) {
	t.Helper()
	var hogs []*exec.Cmd
	stop = func() {
		for _, hog := range hogs {
			_ = hog.Process.Kill() // at most gone
			_ = hog.Wait()         // killed
		}
		hogs = nil
	}
	t.Cleanup(func() { stop() })
	for range n {
		hog := exec.Command("sh", "-c", "while :; do :; done")
		hog.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := hog.Start(); err != nil {
			t.Fatal(err)
		}
		hogs = append(hogs, hog)
	}
	return stop
}

// throttle lets a node run for a fifth of the time, 50 ms of 250.
func (f *fleet) throttle(t *testing.T, node int, d time.Duration) {
	t.Helper()
	p := f.Process(node)
	for end := time.Now().Add(d); time.Now().Before(end); {
		err := p.Signal(syscall.SIGSTOP)
		wait(t, 200*time.Millisecond)
		if err := errors.Join(err, p.Signal(syscall.SIGCONT)); err != nil {
			t.Fatal(err)
		}
		wait(t, 50*time.Millisecond)
	}
}

// stall freezes a node's file system for a second under load.
func (f *fleet) stall(t *testing.T, disks []string, node int) {
	t.Helper()
	if disks == nil {
		t.Skip("SKIPPED: freezing a file system needs root, loop devices, mkfs.ext4 and fsfreeze")
	}
	done := make(chan error, 1)
	go func() {
		time.Sleep(time.Second)
		err := tool("fsfreeze", "--freeze", disks[node])
		time.Sleep(time.Second)
		done <- errors.Join(err, tool("fsfreeze", "--unfreeze", disks[node]))
	}()
	got := f.want(t, codeOK, "", "bench", "failover", "--duration", "3s", "-o", "json")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := decode[failoverResult](t, got.stdout)
	t.Logf("longest gap %.0f ms, longest save %.0f ms", r.LongestGap, r.Max)
}

// startOnDisks starts a cluster whose nodes have a file system each, if this
// machine lets us make some; else on one, and disks is nil.
func startOnDisks(t *testing.T, nodes int) (f *fleet, disks []string) {
	t.Helper()
	dir := t.TempDir()
	plan, err := procs.PlanFree(dir, nodes)
	if err != nil {
		t.Fatal(err)
	}
	disks = mountDisks(t, dir, nodes)
	for i := range disks {
		plan[i].Dir = filepath.Join(disks[i], "data")
	}
	return startFleetOf(t, dir, plan, nil), disks
}

func mountDisks(t *testing.T, dir string, n int) (disks []string) {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for i := range n {
		image, at := filepath.Join(dir, "image"+strconv.Itoa(i)), filepath.Join(dir, "disk"+strconv.Itoa(i))
		// Sparse: large enough that the node never says it is full.
		err := errors.Join(tool("truncate", "-s", "8G", image), tool("mkfs.ext4", "-q", image), os.Mkdir(at, 0o700), tool("mount", "-o", "loop", image, at))
		if err != nil {
			t.Log("no file systems of our own: ", err)
			return nil
		}
		t.Cleanup(func() {
			_ = tool("fsfreeze", "--unfreeze", at) // if a test left it frozen
			if err := tool("umount", at); err != nil {
				t.Error(err)
			}
		})
		disks = append(disks, at)
	}
	return disks
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
