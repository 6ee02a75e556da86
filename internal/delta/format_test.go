// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The example of FORMAT.md is what Encode writes, byte by byte, and Apply
// reads.
func TestFormat_Example(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "## Example")
	states := regexp.MustCompile("From `(.*)` to `(.*)`:").FindStringSubmatch(example)
	block := strings.Split(example, "```")
	if states == nil || len(block) < 2 {
		t.Fatal("FORMAT.md has no example")
	}
	var want []byte
	for line := range strings.Lines(strings.TrimSpace(block[1])) {
		digits, _, _ := strings.Cut(line, "  ")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		want = append(want, b...)
	}
	base, target := []byte(states[1]), []byte(states[2])
	if got := Encode(base, target); !bytes.Equal(got, want) {
		t.Errorf("encoded %x\nexample %x", got, want)
	}
	if got, err := Apply(base, want, 100); err != nil || !bytes.Equal(got, target) {
		t.Errorf("%q, %v", got, err)
	}
}
