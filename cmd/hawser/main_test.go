// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

// rewrite makes the golden tests write what they find: look at the diff, then
// commit it.
var rewrite = flag.Bool("rewrite", false, "write the golden files instead of comparing")

// result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

// command runs one command line in this process, with an environment of its
// own and nothing on stdin.
func command(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"hawser"}, args...), strings.NewReader(""), &stdout, &stderr, func(k string) string { return env[k] })
	return result{code, stdout.String(), stderr.String()}
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := "testdata/" + name
	if *rewrite {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run go test ./cmd/hawser -rewrite", err)
	}
	if text != string(want) {
		t.Errorf("%s differs; run go test ./cmd/hawser -rewrite and look at the diff. Now:\n%s", path, text)
	}
}
