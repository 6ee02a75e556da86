// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/procs"
)

// commandLimit bounds one command line of the tests with real processes.
const commandLimit = time.Minute

// build builds the binary once for all tests, and TestMain removes it.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hawser-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "hawser")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)), os.RemoveAll(dir))
	}
	built = dir
	return path, nil
})

var built string // directory of the binary, "" before it was built

func TestMain(m *testing.M) {
	for _, v := range os.Environ() { // the tests give each command line its own
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "HAWSER_") {
			_ = os.Unsetenv(name)
		}
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// builtBinary returns the built program. Tests with real processes are not for
// -short.
func builtBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fleet is a cluster of real processes.
type fleet struct {
	*procs.Cluster
	bin, dir, secret string
}

// startFleet starts a cluster and waits until every node is ready. It is
// killed when the test ends; its logs are shown when the test failed.
func startFleet(t *testing.T, nodes int) *fleet {
	t.Helper()
	dir := t.TempDir()
	plan, err := procs.PlanFree(dir, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return startFleetOf(t, dir, plan, nil)
}

// startFleetOf starts the nodes of a plan, each with these arguments and within
// what procs.Config says.
func startFleetOf(t *testing.T, dir string, plan []procs.Node, within func(int) []string, args ...string) *fleet {
	t.Helper()
	f := &fleet{bin: builtBinary(t), dir: dir}
	f.secret = filepath.Join(f.dir, "secret")
	if got := command(t, nil, "secret", "generate", "-f", f.secret); got.code != codeOK {
		t.Fatal(got.stderr)
	}
	f.Cluster = procs.NewCluster(procs.Config{Path: f.bin, Nodes: plan, SecretFile: f.secret, Within: within, Args: args})
	t.Cleanup(func() {
		for i := range plan {
			if p := f.Process(i); p != nil && t.Failed() {
				t.Logf("end of the log of %s:\n%s", plan[i].Name, p.Tail(4000))
			}
		}
		if err := f.KillAll(); err != nil {
			t.Error(err)
		}
	})
	if err := f.StartAll(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(t)
	return f
}

func (f *fleet) waitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	if err := f.ReadyAll(ctx); err != nil {
		t.Fatal(err)
	}
}

// hawser runs a command line against all nodes.
func (f *fleet) hawser(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return execute(t, f.bin, stdin, []string{"HAWSER_ENDPOINTS=" + strings.Join(f.Endpoints(), ",")}, args...)
}

// want runs a command line and fails the test unless it ends with the code.
func (f *fleet) want(t *testing.T, code int, stdin string, args ...string) result {
	t.Helper()
	got := f.hawser(t, stdin, args...)
	if got.code != code {
		t.Fatalf("hawser %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), got.code, code, got.stdout, got.stderr)
	}
	return got
}

// leader returns the index of the leader, waiting until there is one.
func (f *fleet) leader(t *testing.T) int {
	t.Helper()
	deadline := time.Now().Add(commandLimit)
	for {
		got := f.hawser(t, "", "cluster", "status", "-o", "json")
		status := decode[statusView](t, got.stdout)
		for i, n := range f.Nodes() {
			if got.code == codeOK && n.Client == status.LeaderAddress {
				return i
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no leader: %+v", got)
		}
	}
}

// execute runs the binary once.
func execute(t *testing.T, bin, stdin string, env []string, args ...string) result {
	t.Helper()
	return executeIn(t, "", bin, stdin, env, args...)
}

func executeIn(t *testing.T, dir, bin, stdin string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || ctx.Err() != nil) {
		t.Fatalf("hawser %s: %v, %v\n%s", strings.Join(args, " "), err, exit, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
