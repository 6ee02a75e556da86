// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package fleet runs a cluster of real processes, and programs beside it that can be
// killed as hard as a machine dies, for the tests of the examples. What it starts has
// ended when the test has.
package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/internal/procs"
)

// readyTime bounds the start of a cluster.
const readyTime = 30 * time.Second

// endTime is what a program has to end by itself at the end of a test.
const endTime = 5 * time.Second

// Fleet is a running cluster. Its methods are for the test's goroutine.
type Fleet struct {
	t testing.TB
	// Hawser is the built program.
	Hawser string
	// Endpoints are the clients' addresses, separated by commas.
	Endpoints string
}

// Start builds ./cmd/hawser and starts so many nodes of it.
func Start(t testing.TB, nodes int) *Fleet {
	t.Helper()
	dir := t.TempDir()
	f := &Fleet{t: t, Hawser: Build(t, "github.com/hawserdb/hawser/cmd/hawser")}
	secret := filepath.Join(dir, "secret")
	if out, err := exec.CommandContext(t.Context(), f.Hawser, "secret", "generate", "-f", secret).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	plan, err := procs.PlanFree(dir, nodes)
	if err != nil {
		t.Fatal(err)
	}
	cluster := procs.NewCluster(procs.Config{Path: f.Hawser, Nodes: plan, SecretFile: secret})
	t.Cleanup(func() {
		for i := range plan {
			if p := cluster.Process(i); p != nil && t.Failed() {
				t.Logf("end of the log of %s:\n%s", plan[i].Name, p.Tail(2000))
			}
		}
		if err := cluster.KillAll(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), readyTime)
	defer cancel()
	if err := cluster.StartAll(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.ReadyAll(ctx); err != nil {
		t.Fatal(err)
	}
	f.Endpoints = strings.Join(cluster.Endpoints(), ",")
	return f
}

// Build builds a program and returns where it is.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// Client returns a client of the cluster.
func (f *Fleet) Client() *client.Client {
	f.t.Helper()
	c, err := client.Dial(client.Config{Endpoints: strings.Split(f.Endpoints, ",")})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Env is the environment of a program that uses the cluster: that of the test, and
// further variables.
func (f *Fleet) Env(more ...string) []string {
	return append(append(os.Environ(), "HAWSER_ENDPOINTS="+f.Endpoints), more...)
}

// Process is a program that was started.
type Process struct {
	Cmd *exec.Cmd
	// Done is closed when it has ended.
	Done <-chan struct{}

	mu     sync.Mutex
	output strings.Builder // guarded by mu
}

// Run starts a program with Fleet.Env.
func (f *Fleet) Run(env []string, program string, args ...string) *Process {
	f.t.Helper()
	done := make(chan struct{})
	p := &Process{Cmd: exec.Command(program, args...), Done: done}
	p.Cmd.Env, p.Cmd.Stdout, p.Cmd.Stderr = f.Env(env...), p, p
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Cmd.WaitDelay = time.Second // what it has started may hold its output
	if err := p.Cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		defer close(done)
		_ = p.Cmd.Wait() // killed, mostly
	}()
	f.t.Cleanup(func() {
		_ = p.Cmd.Process.Signal(os.Interrupt) // what it supervises is its to end
		select {
		case <-p.Done:
		case <-time.After(endTime):
		}
		p.Kill()
	})
	return p
}

// Write takes the output of the process.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// Output is what the process has written by now.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Kill kills the process and its children with SIGKILL, and waits for its end.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL) // it may be gone
	<-p.Done
}

// Child returns the id of a child of the process that was started with this last
// argument, 0 if there is none now.
func (p *Process) Child(argument string) int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var child, parent int
		var state string
		_, rest, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil || parent != p.Cmd.Process.Pid {
			continue
		}
		words, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || !strings.HasSuffix(string(words), "\x00"+argument+"\x00") {
			continue
		}
		if _, err := fmt.Sscan(string(text), &child); err == nil {
			return child
		}
	}
	return 0
}
