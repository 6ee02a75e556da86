// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: a file is replaced whole, keeps its mode, and a write that fails
// leaves the old content and no temporary file.
func TestWriteFile_IsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := writeFile(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "first", 0o600)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, []byte("second")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "second", 0o644)

	target := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(target, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(target, []byte("x")); err == nil || !strings.Contains(err.Error(), target) {
		t.Errorf("a directory was replaced: %v", err)
	}
	if err := writeFile(filepath.Join(dir, "none", "state"), []byte("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file in a directory that is not there: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func wantFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
		t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, mode)
	}
}

// Claim: a state comes from stdin or a file, and one above the limit is
// refused without being read whole.
func TestReadState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte("from file"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{stdin: strings.NewReader("from stdin")}
	for _, test := range []struct{ path, want string }{{path, "from file"}, {"-", "from stdin"}} {
		if got, err := p.readState(test.path); err != nil || string(got) != test.want {
			t.Errorf("readState(%q) = %q, %v", test.path, got, err)
		}
	}
	p.stdin = endless{}
	if _, err := p.readState(""); !errors.Is(err, hawser.ErrTooLarge) {
		t.Errorf("an endless state: %v", err)
	}
	p.stdin = bytes.NewReader(make([]byte, hawser.MaxStateSize))
	if got, err := p.readState(""); err != nil || len(got) != hawser.MaxStateSize {
		t.Errorf("the largest state: %d bytes, %v", len(got), err)
	}
	if _, err := p.readState(path + "none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// Claim: a secret is never written over another one, and its file is private.
func TestSecretGenerate_NeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if got := command(t, nil, "secret", "generate", "-f", path); got.code != codeOK {
		t.Fatalf("%+v", got)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, string(first), 0o600)
	if got := command(t, nil, "secret", "generate", "-f", path); got.code != codeError || !strings.Contains(got.stderr, path) {
		t.Errorf("%+v", got)
	}
	wantFile(t, path, string(first), 0o600)
	a, b := command(t, nil, "secret", "generate"), command(t, nil, "secret", "generate")
	if a.code != codeOK || a.stdout == b.stdout || len(a.stdout) < 32 {
		t.Errorf("%q, %q", a.stdout, b.stdout)
	}
}
