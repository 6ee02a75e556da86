// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/procs"
)

// freeBase returns a base port above which a plan's ports are all free.
func freeBase(t *testing.T, nodes int) int {
	t.Helper()
	for base := 30000; base < 32500; base += 100 { // above the ports of freeport
		plan, err := procs.Plan("", nodes, base)
		if err != nil {
			t.Fatal(err)
		}
		if procs.CheckFree(plan) == nil {
			return base
		}
	}
	t.Skip("no range of free ports between 30000 and 32500")
	return 0
}

// devProcess starts "hawser dev" and waits until it says that it is ready.
func devProcess(t *testing.T, tmp string, args ...string) *procs.Process {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := procs.Start(procs.Command{
		Path: builtBinary(t), Args: append([]string{"dev"}, args...), Log: log, Env: append(os.Environ(), "TMPDIR="+tmp),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() }) // its nodes end with their stdin
	waitLog(t, p, "Ctrl-C stops the cluster.")
	return p
}

var (
	pastedEndpoints = regexp.MustCompile(`export HAWSER_ENDPOINTS=(\S+)`)
	nodeRow         = regexp.MustCompile(`(?m)^(n\d)\s.*\s(\d+)\s+\S+\.log\s*$`)
)

// nodePIDs returns the process ids in the table that dev printed.
func nodePIDs(t *testing.T, output string) []int {
	t.Helper()
	var pids []int
	for _, row := range nodeRow.FindAllStringSubmatch(output, -1) {
		pid, err := strconv.Atoi(row[2])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// waitGone waits until no process of the ids runs. They are not children of
// the test, so that nobody but init has to reap them.
func waitGone(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.Now().Add(commandLimit)
	for _, pid := range pids {
		for processRuns(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d still runs", pid)
			}
			runtime.Gosched()
		}
	}
}

func processRuns(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil || p.Signal(syscall.Signal(0)) != nil {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(status), ") Z ")
}

// Claim: what dev prints works when it is pasted into a shell; a node that is
// killed is reported, and the rest goes on; an interrupt stops all, with code
// 0, and removes the temporary directory.
func TestDev_PastedCommandsAndInterrupt(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell: ", err)
	}
	tmp := t.TempDir()
	base := freeBase(t, 3)
	p := devProcess(t, tmp, "--nodes", "3", "--base-port", strconv.Itoa(base))
	output := p.Tail(1 << 16)
	if !strings.Contains(output, "Nothing is kept") {
		t.Errorf("dev does not say that nothing is kept:\n%s", output)
	}
	_, pasted, _ := strings.Cut(output, "another terminal:\n")
	pasted, _, _ = strings.Cut(pasted, "\n\nNothing is kept")
	run := exec.CommandContext(t.Context(), shell, "-e", "-c", pasted)
	text, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(text), `{"step":1}`) || !strings.Contains(string(text), "voter") {
		t.Errorf("pasted:\n%s\n%v\n%s", pasted, err, text)
	}
	pids := nodePIDs(t, output)
	if len(pids) != 3 {
		t.Fatalf("process ids %v in:\n%s", pids, output)
	}
	victim, err := os.FindProcess(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	waitLog(t, p, "node n1 ended (signal: killed)")
	env := []string{"HAWSER_ENDPOINTS=" + pastedEndpoints.FindStringSubmatch(output)[1], "HAWSER_TIMEOUT=30s"}
	if got := execute(t, builtBinary(t), "two", env, "state", "save", "researcher-7"); got.code != codeOK {
		t.Errorf("save with a node killed: %+v", got)
	}
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := waitExit(t, p); code != codeOK {
		t.Errorf("exit code %d:\n%s", code, p.Tail(4000))
	}
	waitGone(t, pids)
	if left, err := filepath.Glob(filepath.Join(tmp, "hawser-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Claim: with --data-dir a cluster goes on where it was, also after dev and so
// its nodes were ended by SIGKILL.
func TestDev_KeepsItsDirectory(t *testing.T) {
	dir := t.TempDir()
	base := strconv.Itoa(freeBase(t, 1))
	env := []string{"HAWSER_ENDPOINTS=127.0.0.1:" + base}
	first := devProcess(t, t.TempDir(), "--data-dir", dir, "--base-port", base)
	pids := nodePIDs(t, first.Tail(1<<16))
	if got := execute(t, builtBinary(t), "kept", env, "state", "save", "a"); got.code != codeOK || len(pids) != 1 {
		t.Fatalf("%+v, processes %v", got, pids)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pids)
	second := devProcess(t, t.TempDir(), "--data-dir", dir, "--base-port", base)
	if got := execute(t, builtBinary(t), "", env, "state", "restore", "a"); got.stdout != "kept" {
		t.Errorf("%+v\n%s", got, second.Tail(4000))
	}
	if err := second.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := waitExit(t, second); code != codeOK {
		t.Errorf("exit code %d:\n%s", code, second.Tail(4000))
	}
}

// Claim: a node that was killed and started again by the command that dev shows
// keeps its files when dev ends first.
func TestDev_LeavesANodeThatRunsItsFiles(t *testing.T) {
	tmp := t.TempDir()
	base := strconv.Itoa(freeBase(t, 1))
	dev := devProcess(t, tmp, "--nodes", "2", "--base-port", base)
	pids := nodePIDs(t, dev.Tail(1<<16))
	if len(pids) != 2 {
		t.Fatalf("nodes %v", pids)
	}
	if err := syscall.Kill(pids[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitLog(t, dev, "start it again with: ")
	_, hint, _ := strings.Cut(dev.Tail(1<<16), "start it again with: ")
	hint, _, _ = strings.Cut(hint, "\n")
	log := filepath.Join(t.TempDir(), "log")
	again, err := procs.Start(procs.Command{Path: "/bin/sh", Args: []string{"-c", "exec " + hint}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Kill() })
	waitLog(t, again, "ready")
	if err := dev.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := waitExit(t, dev); code != codeOK {
		t.Errorf("exit code %d:\n%s", code, dev.Tail(4000))
	}
	if !strings.Contains(dev.Tail(4000), "still runs, so ") {
		t.Errorf("dev said:\n%s", dev.Tail(4000))
	}
	select {
	case <-again.Done():
		t.Errorf("the node ended:\n%s", again.Tail(4000))
	case <-time.After(2 * time.Second):
	}
}

// Claim: the demonstration loses nothing, and removes its directory.
func TestDemo_Runs(t *testing.T) {
	tmp := t.TempDir()
	got := execute(t, builtBinary(t), "", []string{"TMPDIR=" + tmp}, "demo", "--steps", "10")
	if got.code != codeOK {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{"kill -9 of the leader", "longest time between two acknowledged saves", "restored all 10 versions through the cluster", "through the restarted"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("output lacks %q:\n%s", want, got.stdout)
		}
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "hawser-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
