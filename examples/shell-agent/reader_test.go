// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package shell_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/examples/internal/fleet"
)

const (
	agent = "reader"
	lines = 30
)

// writeText writes a text of as many words in line n as n says, and returns the
// lines of the report about it.
func writeText(t *testing.T) (path string, report []string) {
	t.Helper()
	var text strings.Builder
	for n := 1; n <= lines; n++ {
		fmt.Fprintln(&text, strings.Repeat("word ", n%7))
		report = append(report, fmt.Sprintf("line %d: %d words\n", n, n%7))
	}
	path = filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, report
}

// Claim: the script comes to the right report, by versions of one more line each,
// though it is killed, who runs it is killed, and a copy of it goes on after the agent
// was given to another one: what that copy saves is refused. Method: the script under
// "hawser agent run" twice.
func TestReader_SurvivesKills(t *testing.T) {
	f := fleet.Start(t, 3)
	c := f.Client()
	path, report := writeText(t)
	bin := t.TempDir()
	if err := os.Symlink(f.Hawser, filepath.Join(bin, "hawser")); err != nil {
		t.Fatal(err)
	}
	run := func(instance string) *fleet.Process {
		return f.Run([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}, f.Hawser,
			"agent", "run", agent, "--restart", "on-failure", "--ttl", "1s", "--instance", instance, "--", "sh", "reader.sh", path)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	running := map[string]*fleet.Process{"one": run("one"), "two": run("two")}

	for _, version := range []uint64{3, 6} {
		active := running[owner(ctx, t, c, "")]
		await(ctx, t, c, version)
		if script := active.Child(path); script == 0 || syscall.Kill(script, syscall.SIGKILL) != nil {
			t.Fatal("there is no script to be killed")
		}
	}
	await(ctx, t, c, 9)
	killed := owner(ctx, t, c, "")
	running[killed].Kill()
	owner(ctx, t, c, killed)
	running[killed] = run(killed)
	await(ctx, t, c, 12)

	frozen := owner(ctx, t, c, "")
	stale := running[frozen]
	freeze(t, stale, syscall.SIGSTOP) // and its script goes on
	owner(ctx, t, c, frozen)
	for !strings.Contains(stale.Output(), "fenced") {
		if ctx.Err() != nil {
			t.Fatalf("the stale script was not refused:\n%s", stale.Output())
		}
		time.Sleep(10 * time.Millisecond)
	}
	freeze(t, stale, syscall.SIGCONT)

	want := strings.Join(report, "") + fmt.Sprintf("in all: %d words\n", lines/7*21+3)
	for name, p := range running {
		select {
		case <-p.Done:
		case <-ctx.Done():
			t.Fatalf("%s does not come to an end:\n%s", name, p.Output())
		}
		if !p.Cmd.ProcessState.Success() || !strings.Contains(p.Output(), want) {
			t.Errorf("%s: %v; want the report\n%s in\n%s", name, p.Cmd.ProcessState, want, p.Output())
		}
	}
	for v, err := range c.Agent(agent).Versions(ctx) {
		if err != nil || v.Number > lines {
			t.Fatalf("version %d, %v", v.Number, err)
		}
		cp, err := c.Agent(agent).Restore(ctx, client.AtVersion(v.Number))
		if want := strings.Join(report[:v.Number], ""); err != nil || string(cp.State) != want {
			t.Errorf("version %d is %q, %v; want %q", v.Number, cp.State, err, want)
		}
	}
}

// freeze stops one process, without what it has started, or has it go on.
func freeze(t *testing.T, p *fleet.Process, signal syscall.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// owner waits until an instance owns the agent that is not the given one.
func owner(ctx context.Context, t *testing.T, c *client.Client, not string) string {
	t.Helper()
	for h, err := range c.Agent(agent).Observe(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Holders) == 1 && h.Holders[0].Instance != not {
			return h.Holders[0].Instance
		}
	}
	t.Fatal("nobody owns the agent: ", context.Cause(ctx))
	return ""
}

// await waits until the agent has a version, and then for a part of a step.
func await(ctx context.Context, t *testing.T, c *client.Client, version uint64) {
	t.Helper()
	for cp, err := range c.Agent(agent).Follow(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if cp.Version.Number >= version {
			time.Sleep(rand.N(300 * time.Millisecond))
			return
		}
	}
	t.Fatalf("there is no version %d: %v", version, context.Cause(ctx))
}
