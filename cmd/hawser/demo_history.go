// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/trace"
)

// history returns the states that the demo saves: those in dir by number, or a
// synthetic history when dir is empty; at most steps of them, 0 being every
// file, or demoSteps.
func history(dir string, steps int, seed uint64) ([][]byte, error) {
	if steps < 0 || steps == 1 {
		return nil, usageErrorf("--steps %d: the leader is killed between two, so at least 2", steps)
	}
	if dir == "" {
		if steps == 0 {
			steps = demoSteps
		}
		return slices.Collect(trace.Generate(seed, steps)), nil
	}
	var states [][]byte
	for state, err := range trace.Load(dir) {
		if err != nil {
			return nil, err
		}
		states = append(states, state)
		if len(states) == steps {
			break
		}
	}
	if len(states) < 2 {
		return nil, fmt.Errorf("%s holds %s, at least 2 are needed", dir, plural(len(states), "state"))
	}
	return states, nil
}

// compare says in what way a restored state is not the saved one.
func compare(saved, restored []byte, v hawser.Version) error {
	want, got := hawser.Hash(sha256.Sum256(saved)), hawser.Hash(sha256.Sum256(restored))
	switch {
	case got != want:
		return fmt.Errorf("restored %d bytes with SHA-256 %s, saved %d bytes with %s", len(restored), got, len(saved), want)
	case !bytes.Equal(saved, restored):
		return fmt.Errorf("the bytes differ though the SHA-256 %s is equal", got)
	case v.SHA256 != want:
		return fmt.Errorf("acknowledged with SHA-256 %s, saved with %s", v.SHA256, want)
	}
	return nil
}
