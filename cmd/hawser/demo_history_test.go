// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: a difference of one byte, or a hash that was acknowledged for other
// content, is found.
func TestCompare_FindsEveryDifference(t *testing.T) {
	state := []byte("state")
	v := hawser.Version{SHA256: sha256.Sum256(state)}
	if err := compare(state, []byte("state"), v); err != nil {
		t.Errorf("equal states: %v", err)
	}
	if compare(state, []byte("stat3"), v) == nil || compare(state, nil, v) == nil || compare(state, state, hawser.Version{}) == nil {
		t.Error("a difference was not found")
	}
}

// Claim: a directory's states are taken by name, at most as many as asked for.
func TestHistory_Directory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"0002.json", "0001.json", "0003.json", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for steps, want := range map[int]int{0: 3, 2: 2, 9: 3} {
		states, err := history(dir, steps, 1)
		if err != nil || len(states) != want || string(states[0]) != "0001.json" || string(states[1]) != "0002.json" {
			t.Errorf("steps %d: %q, %v", steps, states, err)
		}
	}
	if _, err := history(t.TempDir(), 0, 1); err == nil {
		t.Error("an empty directory is a history")
	}
	states, err := history("", 12, 1)
	if err != nil || len(states) != 12 {
		t.Errorf("synthetic: %d states, %v", len(states), err)
	}
}
