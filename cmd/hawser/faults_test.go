// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/procs"
)

// alone returns the arguments of a node that is a cluster by itself, on free
// ports.
func alone(dir string, more ...string) []string {
	return append([]string{
		"server", "--name", "n1", "--data-dir", dir, "--bootstrap-expect", "1", "--client-addr", "127.0.0.1:0",
		"--peer-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
	}, more...)
}

// startNode starts a process that the test's end kills.
func startNode(t *testing.T, args ...string) *procs.Process {
	t.Helper()
	p, err := procs.Start(procs.Command{Path: builtBinary(t), Args: args, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// waitExit waits until a process ends and returns its code.
func waitExit(t *testing.T, p *procs.Process) int {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(commandLimit):
		t.Fatalf("still runs; its log:\n%s", p.Tail(4000))
	}
	return p.ExitCode()
}

// waitLog waits until the log of a process holds a text.
func waitLog(t *testing.T, p *procs.Process, text string) {
	t.Helper()
	deadline := time.After(commandLimit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.Tail(1<<20), text) {
		select {
		case <-tick.C:
		case <-p.Done():
			t.Fatalf("ended with %d before it logged %q:\n%s", p.ExitCode(), text, p.Tail(4000))
		case <-deadline:
			t.Fatalf("did not log %q:\n%s", text, p.Tail(4000))
		}
	}
}

// Claim: a node whose port is taken ends with code 1 and names the address.
func TestServer_PortTaken(t *testing.T) {
	for _, which := range []string{flagClientAddr, flagPeerAddr, flagGossipAddr, flagHTTPAddr} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := startNode(t, alone(t.TempDir(), "--"+which, l.Addr().String())...)
		if code := waitExit(t, p); code != codeError || !strings.Contains(p.Tail(4000), l.Addr().String()) {
			t.Errorf("--%s: exit code %d\n%s", which, code, p.Tail(4000))
		}
		_ = l.Close()
	}
}

// Claim: a directory has one process and one node: a second process on it and
// a node of another name are refused by name, with the exit code for
// directories, and the first goes on.
func TestServer_DirectoryInUseAndOfAnotherNode(t *testing.T) {
	f := startFleet(t, 1)
	dir := f.Nodes()[0].Dir
	f.want(t, codeOK, "one", "state", "save", "a")
	second := startNode(t, alone(dir)...)
	if code := waitExit(t, second); code != halt.Directory.ExitCode() || !strings.Contains(second.Tail(4000), dir) {
		t.Errorf("directory in use: exit code %d\n%s", code, second.Tail(4000))
	}
	f.want(t, codeOK, "two", "state", "save", "a")
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	if err := f.StopAll(ctx); err != nil {
		t.Fatal(err)
	}
	other := startNode(t, alone(dir, "--name", "n9", "--cluster-secret-file", f.secret)...)
	if code := waitExit(t, other); code != halt.Directory.ExitCode() || !strings.Contains(other.Tail(4000), "n9") {
		t.Errorf("directory of another node: exit code %d\n%s", code, other.Tail(4000))
	}
	if err := f.StartAll(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(t)
	if got := f.want(t, codeOK, "", "state", "restore", "a"); got.stdout != "two" {
		t.Errorf("restored %q", got.stdout)
	}
}

// Claim: a node with another secret does not get in, is told why, and
// disturbs nobody.
func TestServer_WrongSecret(t *testing.T) {
	f := startFleet(t, 1)
	wrong := filepath.Join(t.TempDir(), "wrong")
	if got := command(t, nil, "secret", "generate", "-f", wrong); got.code != codeOK {
		t.Fatal(got.stderr)
	}
	stranger := startNode(t, "server", "--name", "n2", "--data-dir", t.TempDir(), "--client-addr", "127.0.0.1:0",
		"--peer-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
		"--cluster-secret-file", wrong, "--join", f.Nodes()[0].Peer)
	waitLog(t, stranger, "secret")
	members := decode[[]memberView](t, f.want(t, codeOK, "", "cluster", "members", "-o", "json").stdout)
	if len(members) != 1 {
		t.Errorf("members: %+v", members)
	}
	f.want(t, codeOK, "one", "state", "save", "a")
}

// Claim: faults of the start line end the server with the code for usage and
// name the field.
func TestServer_StartLine(t *testing.T) {
	bin := builtBinary(t)
	for _, test := range []struct {
		args []string
		text string
	}{
		{[]string{"server"}, "data directory"},
		{alone(""), "data directory"},
		{alone(t.TempDir(), "--name", "Not A Name"), "Not A Name"},
		{alone(t.TempDir(), "--client-addr", "nowhere"), "nowhere"},
		{alone(t.TempDir(), "--client-addr", "0.0.0.0:0"), "TLS"},
		{alone(t.TempDir(), "--peer-addr", "0.0.0.0:0"), "secret"},
		{alone(t.TempDir(), "--log-store", "paper"), "paper"},
		{alone(t.TempDir(), "--bootstrap-expect", "3"), "secret"},
		{alone(t.TempDir(), "--bootstrap-expect", "0"), "join"},
	} {
		got := execute(t, bin, "", nil, test.args...)
		if got.code != codeUsage || !strings.Contains(got.stderr, test.text) {
			t.Errorf("%v: exit code %d, stderr %q; want %q", test.args, got.code, got.stderr, test.text)
		}
	}
}

// Claim: SIGTERM stops a server gracefully, with exit code 0; flags come from
// the environment too; the log shows what it runs with and never the secret.
func TestServer_EnvironmentAndSignal(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if got := command(t, nil, "secret", "generate", "-f", secret); got.code != codeOK {
		t.Fatal(got.stderr)
	}
	p, err := procs.Start(procs.Command{
		Path: builtBinary(t), Args: []string{"server", "--name", "n7"}, Log: filepath.Join(t.TempDir(), "log"),
		Env: append(os.Environ(), "HAWSER_DATA_DIR="+dir, "HAWSER_NAME=ignored", "HAWSER_CLIENT_ADDR=127.0.0.1:0", "HAWSER_PEER_ADDR=127.0.0.1:0",
			"HAWSER_GOSSIP_ADDR=127.0.0.1:0", "HAWSER_HTTP_ADDR=127.0.0.1:0", "HAWSER_BOOTSTRAP_EXPECT=1", "HAWSER_LOG_FORMAT=json",
			"HAWSER_CLUSTER_SECRET_FILE="+secret, "HAWSER_LOG_LEVEL=debug"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	waitLog(t, p, `"msg":"effective configuration"`)
	waitLog(t, p, `"name":"n7"`)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := waitExit(t, p); code != codeOK {
		t.Errorf("exit code %d:\n%s", code, p.Tail(4000))
	}
	value, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(p.Tail(1<<20), strings.TrimSpace(string(value))) {
		t.Error("the log holds the secret")
	}
}
