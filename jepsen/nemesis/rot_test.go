// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"bytes"
	"errors"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// A damage changes what it says, in the part of a file that holds something, and
// tells whether it is still there, also when another file has the name.
func TestDamage(t *testing.T) {
	text := append(bytes.Repeat([]byte("content "), 100), make([]byte, 4096)...)
	for name, spoil := range map[string]func(string, *rand.Rand) (damage, error){"flip": flip, "truncate": truncate, "lose": lose} {
		for seed := range uint64(50) {
			path := filepath.Join(t.TempDir(), "file")
			write(t, path, text)
			d, err := spoil(path, rand.New(rand.NewPCG(seed, 0)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !d.there() {
				t.Errorf("%s (%s): it is not there", name, d.what)
			}
			checkDamage(t, name, path, text)
			write(t, path+".new", text)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			if d.there() {
				t.Errorf("%s (%s): it is there, but the file is another", name, d.what)
			}
		}
	}
}

func checkDamage(t *testing.T, name, path string, text []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	switch name {
	case "lose":
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is not removed: %v", err)
		}
	case "truncate":
		if err != nil || len(got) >= 800 || !bytes.HasPrefix(text, got) {
			t.Errorf("%d bytes are left, %v", len(got), err)
		}
	default:
		differ := 0
		for i := range min(len(got), len(text)) {
			differ += bits.OnesCount8(got[i] ^ text[i])
		}
		if err != nil || len(got) != len(text) || differ != 1 || !bytes.Equal(got[800:], text[800:]) {
			t.Errorf("%d bits differ, %v", differ, err)
		}
	}
}

func TestDamage_EmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, make([]byte, 100))
	if _, err := flip(path, rand.New(rand.NewPCG(1, 1))); !errors.Is(err, errEmpty) {
		t.Errorf("a bit of nothing is flipped: %v", err)
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
