// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/agent"
)

func exited(code int, tail string) *Exit { return &Exit{Code: code, Tail: tail, Uptime: time.Second} }

// Claim: evidence maps to one kind of failure, which says from what it was derived.
func TestClassify(t *testing.T) {
	limits := Limits{IdleAfter: 3 * time.Second}
	for name, c := range map[string]struct {
		in   Evidence
		kind Failure
		says string
	}{
		"it runs":                     {Evidence{Ready: true, Idle: time.Second}, None, ""},
		"it has ended well":           {Evidence{Exit: exited(0, "bye"), Ready: true}, None, "exit code 0"},
		"killed":                      {Evidence{Exit: &Exit{Code: -1, Signal: "killed", Uptime: time.Second}, Ready: true}, Crash, "ended by signal killed after 1s"},
		"a panic":                     {Evidence{Exit: exited(2, "log\npanic: nil map\n\ngoroutine 1 [running]:\nmain.main()\n"), Ready: true}, Crash, "last words: panic: nil map"},
		"an error":                    {Evidence{Exit: exited(1, "first\nlast\n\n"), Ready: true}, Crash, "last words: last"},
		"it fails at its first start": {Evidence{Exit: exited(1, ""), FailedStarts: 1}, Crash, "1 starts"},
		"and at its second":           {Evidence{Exit: exited(1, ""), FailedStarts: 2}, FailedDeployment, "it was not ready; 2 starts of this build"},
		"it cannot read the state":    {Evidence{Exit: exited(ExitSchema, "version 3 has schema v2"), FailedStarts: 1}, FailedDeployment, "schema v2"},
		"the state is damaged":        {Evidence{Exit: exited(ExitCorruptState, ""), FailedStarts: 1}, CorruptState, "exit code 65"},
		"it is in quarantine":         {Evidence{Exit: exited(ExitQuarantined, ""), FailedStarts: 1}, Forbidden, "exit code 77"},
		"Go gets no memory":           {Evidence{Exit: exited(2, "fatal error: runtime: out of memory\nruntime stack:"), Ready: true}, ExhaustedResources, "out of memory"},
		"Python gets no memory":       {Evidence{Exit: exited(1, "Traceback\nMemoryError\n"), Ready: true}, ExhaustedResources, "MemoryError"},
		"no memory at the start":      {Evidence{Exit: exited(2, "cannot allocate memory"), FailedStarts: 7}, ExhaustedResources, "memory"},
		"idle":                        {Evidence{Ready: true, Idle: 3 * time.Second}, Stuck, "no progress for 3s"},
		"a check fails":               {Evidence{Ready: true, Unhealthy: []string{"model: no answer in 5s"}}, Stuck, "unhealthy: model"},
		"memory is short":             {Evidence{Ready: true, Unhealthy: []string{"model: slow", "memory: 2 GiB of 1"}}, ExhaustedResources, "memory: 2 GiB"},
	} {
		kind, evidence := Classify(c.in, limits)
		if says := strings.Join(evidence, "; "); kind != c.kind || !strings.Contains(says, c.says) || (c.says == "") != (says == "") {
			t.Errorf("%s: %v from %q; want %v from %q", name, kind, says, c.kind, c.says)
		}
	}
	if kind, _ := Classify(Evidence{Idle: time.Hour}, Limits{}); kind != None {
		t.Errorf("idle for ever, without a limit: %v", kind)
	}
}

func TestExitCode(t *testing.T) {
	for code, err := range map[int]error{
		0: nil, 1: errors.New("other"), ExitCorruptState: fmt.Errorf("a: %w", hawser.ErrCorrupt),
		ExitSchema: fmt.Errorf("a: %w", &agent.SchemaError{}), ExitQuarantined: &agent.QuarantinedError{},
	} {
		if got := ExitCode(err); got != code {
			t.Errorf("%v: %d, want %d", err, got, code)
		}
	}
}

func TestTail_KeepsTheEnd(t *testing.T) {
	var tl tail
	for i := range 10_000 {
		fmt.Fprintf(&tl, "line %d\n", i)
	}
	if s := tl.String(); len(s) != maxTail || !strings.HasSuffix(s, "line 9999\n") {
		t.Errorf("%d bytes, ending with %q", len(s), s[max(0, len(s)-20):])
	}
	fmt.Fprint(&tl, "fatal err")
	fmt.Fprint(&tl, "or: out of memory\n\n", strings.Repeat("goroutine\n", maxTail))
	if s := tl.String(); !strings.HasPrefix(s, "fatal error: out of memory\n") || len(s) > maxTail+maxLine {
		t.Errorf("%d bytes, beginning with %q", len(s), s[:40])
	}
	if line := lastLine(tl.String()); line != "fatal error: out of memory" {
		t.Errorf("last words: %q", line)
	}
}
