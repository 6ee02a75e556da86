// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// childMode makes the test binary play a child: it is started by the tests
// with this variable set.
const childMode = "HAWSER_PROCS_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case "":
		os.Exit(m.Run())
	case "graceful": // a node that ends with its stdin and answers /readyz
		fmt.Println("child starts", os.Args[1:])
		go serveReady()
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Println("child ends")
		os.Exit(0)
	case "stubborn": // a node that hangs
		fmt.Println("child starts")
		select {}
	case "broken": // a node that fails at the start
		fmt.Println("the disk is on fire")
		os.Exit(11)
	}
}

// serveReady answers 503 to the first question and 200 from then on.
func serveReady() {
	i := slices.Index(os.Args, "--http-addr")
	if i < 0 {
		return
	}
	asked := make(chan struct{}, 1)
	_ = http.ListenAndServe(os.Args[i+1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
			http.Error(w, "no leader yet", http.StatusServiceUnavailable)
		default:
		}
	}))
}

// Claim: once a child is done, its output has got all that the child wrote, also
// what it wrote last.
func TestProcess_OutputIsComplete(t *testing.T) {
	var out strings.Builder
	p, err := Start(Command{
		Path: os.Args[0], Env: append(os.Environ(), childMode+"=graceful"), Log: filepath.Join(t.TempDir(), "log"), Output: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "child starts []\nchild ends\n"; out.String() != want {
		t.Errorf("it is %q, not %q", out.String(), want)
	}
}

func child(t *testing.T, mode string) *Process {
	t.Helper()
	p, err := Start(Command{
		Path: os.Args[0], Args: []string{"argument"}, Env: append(os.Environ(), childMode+"="+mode),
		Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Claim: Stop ends a child through its stdin, without a signal, and the log
// holds what it said.
func TestProcess_StopIsGraceful(t *testing.T) {
	p := child(t, "graceful")
	if p.ExitCode() != -1 || p.Err() != nil {
		t.Errorf("a running child has code %d, error %v", p.ExitCode(), p.Err())
	}
	if err := p.Stop(within(t)); err != nil {
		t.Fatal(err)
	}
	if p.ExitCode() != 0 || p.Err() != nil {
		t.Errorf("code %d, error %v", p.ExitCode(), p.Err())
	}
	if got := p.Tail(1 << 10); !strings.Contains(got, "child starts [argument]") || !strings.Contains(got, "child ends") {
		t.Errorf("log: %q", got)
	}
	if err := errors.Join(p.Stop(t.Context()), p.Kill(), p.Signal(os.Interrupt)); err != nil {
		t.Errorf("ending an ended child: %v", err)
	}
}

// Claim: a child that does not end in time is killed, and Stop says so.
func TestProcess_StopKillsAfterTheDeadline(t *testing.T) {
	p := child(t, "stubborn")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("the child still runs")
	}
	if p.Err() == nil {
		t.Error("a killed child has no error")
	}
}

// Claim: Tail starts at a line.
func TestProcess_TailCutsAtALine(t *testing.T) {
	p := child(t, "broken")
	<-p.Done()
	if p.ExitCode() != 11 {
		t.Errorf("exit code %d", p.ExitCode())
	}
	if err := os.WriteFile(p.log, []byte("first\nsecond\nthird\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := p.Tail(10); got != "third\n" {
		t.Errorf("Tail(10) = %q", got)
	}
	if got := p.Tail(100); got != "first\nsecond\nthird\n" {
		t.Errorf("Tail(100) = %q", got)
	}
}

func TestStart_MissingProgram(t *testing.T) {
	if _, err := Start(Command{Path: filepath.Join(t.TempDir(), "none"), Log: filepath.Join(t.TempDir(), "log")}); err == nil {
		t.Error("a program that is not there was started")
	}
}

func local(t *testing.T, mode string, nodes int) *Cluster {
	t.Helper()
	plan, err := PlanFree(t.TempDir(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCluster(Config{
		Path: os.Args[0], Nodes: plan, SecretFile: "secret", Args: []string{"--voters", "3"},
		Env: append(os.Environ(), childMode+"="+mode),
	})
	t.Cleanup(func() { _ = c.KillAll() })
	return c
}

// Claim: a cluster starts, waits past answers of "not ready", and stops.
func TestCluster_StartsAndStops(t *testing.T) {
	c := local(t, "graceful", 2)
	if err := c.Ready(t.Context(), 0); err == nil {
		t.Error("a node that was never started is ready")
	}
	if err := c.StartAll(); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyAll(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.StopAll(within(t)); err != nil {
		t.Fatal(err)
	}
	for i := range c.Nodes() {
		if code := c.Process(i).ExitCode(); code != 0 {
			t.Errorf("node %d: exit code %d", i, code)
		}
	}
}

// Claim: waiting for a node that failed ends at once, with its exit code and
// the end of its log.
func TestCluster_ReadyReportsAFailedNode(t *testing.T) {
	c := local(t, "broken", 1)
	if err := c.StartAll(); err != nil {
		t.Fatal(err)
	}
	err := c.ReadyAll(within(t))
	if err == nil || !strings.Contains(err.Error(), "code 11") || !strings.Contains(err.Error(), "on fire") {
		t.Errorf("Ready: %v", err)
	}
}

// Claim: a node that never becomes ready is reported with its last answer.
func TestCluster_ReadyEndsWithItsContext(t *testing.T) {
	c := local(t, "stubborn", 1)
	l, err := net.Listen("tcp", c.Nodes()[0].HTTP)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no leader yet", http.StatusServiceUnavailable)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { _ = server.Close(); <-served }()
	if err := c.StartAll(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.ReadyAll(ctx); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("Ready: %v", err)
	}
}

// Claim: nodes that found a cluster together all name all of them; a single
// one joins nobody.
func TestCluster_Args(t *testing.T) {
	three := strings.Join(local(t, "", 3).Args(1), " ")
	for _, want := range []string{"server --stop-with-stdin", "--name n2", "--bootstrap-expect 3", "--join 127.0.0.1:", "--cluster-secret-file secret", "--voters 3"} {
		if !strings.Contains(three, want) {
			t.Errorf("arguments lack %q: %s", want, three)
		}
	}
	if one := strings.Join(local(t, "", 1).Args(0), " "); strings.Contains(one, "--join") || !strings.Contains(one, "--bootstrap-expect 1") {
		t.Errorf("arguments of a single node: %s", one)
	}
}
