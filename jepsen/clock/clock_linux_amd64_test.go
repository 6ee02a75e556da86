// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain lets a child of the test tell the time, again and again.
func TestMain(m *testing.M) {
	if os.Getenv("CLOCK_CHILD") == "" {
		os.Exit(m.Run())
	}
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(5 * time.Millisecond) {
		fmt.Println(time.Now().Unix(), time.Since(begin).Milliseconds())
	}
}

// Claim: the wall clock of the process is set, there and back, and its monotonic
// clock, and ours, are as they were.
func TestClock_OfAChild(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "CLOCK_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	lines := bufio.NewScanner(out)
	last := int64(0)
	// differs waits until the child's clock differs from ours by so much.
	differs := func(want time.Duration) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); lines.Scan(); {
			var wall, monotonic int64
			if _, err := fmt.Sscan(lines.Text(), &wall, &monotonic); err != nil {
				t.Fatal(err)
			}
			if monotonic < last || monotonic > last+1000 {
				t.Errorf("the monotonic clock went from %d ms to %d ms", last, monotonic)
			}
			last = monotonic
			is := time.Until(time.Unix(wall, 0))
			if (is - want).Abs() < 2*time.Second {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("it differs by %s, wanted %s", is, want)
			}
		}
	}
	differs(0)
	c, err := Take(child.Process.Pid)
	if err != nil {
		t.Skipf("SKIPPED: the clock of a process cannot be set here: %v", err)
	}
	differs(0)
	for _, offset := range []time.Duration{time.Hour, -24 * time.Hour, 10 * 365 * 24 * time.Hour, 0} {
		if err := c.Set(offset); err != nil {
			t.Fatal(err)
		}
		differs(offset)
	}
}
