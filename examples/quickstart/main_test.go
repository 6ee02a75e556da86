// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hawserdb/hawser/hawsertest"
)

// The agent is killed with SIGKILL in the middle, twice, and goes on each time
// at the step after the last one that it printed.
func TestQuickstart_GoesOnAfterKill(t *testing.T) {
	cluster := hawsertest.StartCluster(t, 1)
	program := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	next := 1
	for range 3 {
		next = runAndKill(t, program, cluster.Endpoint(0), next)
	}
}

// runAndKill runs the agent, expects it to print steps from first on, kills it
// after three and returns the step with which the next run must begin.
func runAndKill(t *testing.T, program, endpoint string, first int) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), "HAWSER_ENDPOINTS="+endpoint)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	step := first
	for ; step < first+3 && lines.Scan(); step++ {
		var got int
		if _, err := fmt.Sscanf(lines.Text(), "step %d", &got); err != nil || got != step {
			t.Errorf("printed %q where step %d should be", lines.Text(), step)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	for lines.Scan() { // what it printed before the signal arrived
		step++
	}
	_ = cmd.Wait() // it was killed
	if t.Failed() {
		t.FailNow()
	}
	return step
}
