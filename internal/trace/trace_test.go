// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The measured shape of synthetic histories lies in the bands of real ones.
func TestGenerate_Shape(t *testing.T) {
	var sizes, grown []int
	var packed, unpacked int
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = encoder.Close() }()
	for seed := range uint64(13) {
		steps := []int{22, 36, 66, 145, 22, 36, 66, 145, 22, 36, 66, 145, 300}[seed]
		last, cuts := 0, 0
		var buf []byte
		for state := range Generate(seed, steps) {
			if len(state) < last-30*kilobyte {
				cuts++
				if cut := last - len(state); cut > maxCut+900*kilobyte {
					t.Errorf("seed %d: a condensation cut %d bytes", seed, cut)
				}
			} else if last > 0 && len(state) > last {
				grown = append(grown, len(state)-last)
			}
			last = len(state)
			sizes = append(sizes, last)
			if len(sizes)%16 == 0 {
				buf = encoder.EncodeAll(state, buf[:0])
				packed, unpacked = packed+len(buf), unpacked+len(state)
			}
		}
		if steps >= longRun && (cuts < 1 || cuts > maxCondensations+3) {
			t.Errorf("seed %d: %d condensations in %d steps", seed, cuts, steps)
		}
	}
	inBand := func(name string, got, low, high int) {
		t.Helper()
		t.Logf("%s %d", name, got)
		if got < low || got > high {
			t.Errorf("%s is %d, wanted %d to %d", name, got, low, high)
		}
	}
	inBand("growth p10", quantile(grown, 0.1), 800, 1600)
	inBand("growth p50", quantile(grown, 0.5), 2000, 3600)
	inBand("growth p75", quantile(grown, 0.75), 4000, 7500)
	inBand("growth p90", quantile(grown, 0.9), 8000, 16000)
	inBand("growth p99", quantile(grown, 0.99), 100_000, 400_000)
	inBand("growth max", slices.Max(grown), 200_000, 1_000_000)
	inBand("size p10", quantile(sizes, 0.1), 10_000, 100_000)
	inBand("size p50", quantile(sizes, 0.5), 90_000, 500_000)
	inBand("size max", slices.Max(sizes), 750_000, 2_900_000)
	inBand("ratio in tenths", 10*unpacked/packed, 35, 80)
}

func quantile(values []int, q float64) int {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}

// Every state is JSON with its step in front of its history, states never grow
// beyond the limit, and the last messages stay when the middle is cut.
func TestGenerate_States(t *testing.T) {
	step := 0
	for state := range Generate(7, 400) {
		step++
		if len(state) > maxState+64*kilobyte {
			t.Fatalf("step %d: %d bytes", step, len(state))
		}
		if step%25 != 1 {
			continue
		}
		var s struct {
			Step     int
			Scratch  map[string]any
			Messages []struct{ Role, Content string }
		}
		if err := json.Unmarshal(state, &s); err != nil || s.Step != step {
			t.Fatalf("step %d: %+v, %v", step, s.Step, err)
		}
		if len(s.Messages) < 4 || s.Messages[0].Role != "system" {
			t.Fatalf("step %d: %d messages", step, len(s.Messages))
		}
		if i := bytes.Index(state, []byte(`"step"`)); i < 0 || i > 200 {
			t.Fatalf("step %d: the step stands at %d", step, i)
		}
	}
	if step != 400 {
		t.Errorf("%d steps", step)
	}
}

// One seed is one history, another seed another.
func TestGenerate_IsDeterministic(t *testing.T) {
	a := slices.Collect(Generate(3, 30))
	b := slices.Collect(Generate(3, 30))
	c := slices.Collect(Generate(4, 30))
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			t.Fatalf("step %d differs", i+1)
		}
	}
	if bytes.Equal(a[29], c[29]) {
		t.Error("two seeds give one history")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for _, err := range Load(dir) {
		if err == nil {
			t.Error("an empty directory has a state")
		}
	}
	for name, content := range map[string]string{"0002.json": "b", "0001.json": "a", "0010.json": "c", "manifest.json": "x", "1.txt": "y"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for state, err := range Load(dir) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(state))
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("loaded %q", got)
	}
	for _, err := range Load(filepath.Join(dir, "missing")) {
		if err == nil {
			t.Error("a missing directory has a state")
		}
	}
}
