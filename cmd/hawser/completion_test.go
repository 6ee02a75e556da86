// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestComplete_Table(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  string // separated by spaces
	}{
		{[]string{"st"}, "state"},
		{[]string{"state", ""}, "save restore versions show diff rollback pin verify impact"},
		{[]string{"state", "save", "--ex"}, "--expect-version"},
		{[]string{"-o", "json", "cluster", "t"}, "transfer"},
		{[]string{"server", "--stop"}, ""}, // hidden
		{[]string{"state", "save", "agent", ""}, ""},
		{[]string{"state", "save", "$(reboot)", "--over"}, "--overwrite"},
	} {
		got := command(t, nil, append([]string{completeCommand}, test.words...)...)
		if strings.Join(strings.Fields(got.stdout), " ") != test.want || got.code != codeOK {
			t.Errorf("%q: %q, code %d, want %q", test.words, got.stdout, got.code, test.want)
		}
	}
	if got := command(t, nil, completeCommand); !strings.Contains(got.stdout, "state\n") {
		t.Errorf("nothing typed: %q", got.stdout)
	}
}

// Claim: the scripts are what their shells parse, and none of them evaluates
// the typed words.
func TestCompletion_Scripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := command(t, nil, "completion", shell)
		if got.code != codeOK || !strings.Contains(got.stdout, completeCommand) || strings.Contains(got.stdout, "eval") {
			t.Errorf("%s: %+v", shell, got)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here: its script was not parsed", shell)
			continue
		}
		check := exec.CommandContext(t.Context(), path, "-n")
		check.Stdin = strings.NewReader(got.stdout)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v\n%s", shell, err, out)
		}
	}
}
