// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/internal/procs"
)

// Claim: what dev prints to type next can be pasted, however it was started.
func TestSelfCommand(t *testing.T) {
	for _, test := range []struct {
		self string
		err  error
		want string
	}{
		{"/somewhere/else/hawser", nil, "/somewhere/else/hawser"},
		{filepath.FromSlash("/tmp/go-build123/b001/exe/hawser"), nil, "go run ./cmd/hawser"},
		{"", errors.New("unknown"), "hawser-as-called"},
	} {
		if got := selfCommand("hawser-as-called", func() (string, error) { return test.self, test.err }); got != test.want {
			t.Errorf("%q: %q, want %q", test.self, got, test.want)
		}
	}
}

// Claim: a shell reads a quoted word back as it was.
func TestShellQuote(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell: ", err)
	}
	for _, word := range []string{"plain-1.0:7420,x", "", "two words", "it's", "$(reboot) `ls` \\ \"x\" ;&|<>*?~#", "größe"} {
		out, err := exec.CommandContext(t.Context(), shell, "-c", "printf %s "+shellQuote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q came back as %q, %v", word, out, err)
		}
	}
	if got := shellQuote("127.0.0.1:7420"); got != "127.0.0.1:7420" {
		t.Errorf("quoted without need: %s", got)
	}
}

// Claim: dev starts nothing when a port is taken, and names it.
func TestDev_PortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if port > 65535-procs.MaxPlanned*10-60 {
		t.Skipf("port %d leaves no room above it", port)
	}
	got := command(t, nil, "dev", "--base-port", strconv.Itoa(port), "--data-dir", t.TempDir())
	if got.code != codeError || !strings.Contains(got.stderr, l.Addr().String()) || !strings.Contains(got.stderr, "--base-port") {
		t.Errorf("%+v", got)
	}
}

// Claim: dev refuses a directory with a cluster of another size, and says what
// to give.
func TestDev_OtherNumberOfNodes(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"n1", "n2", "n3"} {
		if err := os.MkdirAll(filepath.Join(dir, n), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, n, "node.json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := command(t, nil, "dev", "--nodes", "1", "--data-dir", dir)
	if got.code != codeError || !strings.Contains(got.stderr, "holds a cluster of 3") || !strings.Contains(got.stderr, "--nodes 3") {
		t.Errorf("%+v", got)
	}
}

// Claim: the nodes of a local cluster do not see the variables that their
// parent was given for itself.
func TestNodeEnvironment(t *testing.T) {
	got := nodeEnvironment([]string{"PATH=/bin", "HAWSER_JOIN=x", "HAWSER_ENDPOINTS=y", "HOME=/"})
	if strings.Join(got, " ") != "PATH=/bin HOME=/" {
		t.Errorf("%q", got)
	}
}
