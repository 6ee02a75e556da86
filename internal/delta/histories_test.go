// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/trace"
)

// history is the states of one run, one a step.
type history struct {
	name   string
	states [][]byte
}

// realHistories returns the states of real runs: those that steps.py makes in
// the folder that HAWSER_TRACES names.
func realHistories(tb testing.TB) []history {
	tb.Helper()
	script := filepath.Join(os.Getenv("HAWSER_TRACES"), "steps.py")
	if _, err := os.Stat(script); err != nil {
		tb.Skipf("no real histories: HAWSER_TRACES names no folder with steps.py: %v", err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		tb.Skipf("python3 is needed to unpack the histories: %v", err)
	}
	out := tb.TempDir()
	if text, err := exec.CommandContext(tb.Context(), python, script, "--out", out).CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, text)
	}
	dirs, err := filepath.Glob(filepath.Join(out, "trace-*"))
	if err != nil || len(dirs) == 0 {
		tb.Fatalf("no histories in %s: %v", out, err)
	}
	var histories []history
	for _, dir := range dirs {
		h := history{name: filepath.Base(dir)}
		for state, err := range trace.Load(dir) {
			if err != nil {
				tb.Fatal(err)
			}
			h.states = append(h.states, state)
		}
		histories = append(histories, h)
	}
	return histories
}

// syntheticHistories returns a few runs of the generator.
func syntheticHistories(testing.TB) []history {
	var histories []history
	for seed := range uint64(4) {
		histories = append(histories, history{name: fmt.Sprintf("seed %d", seed), states: slices.Collect(trace.Generate(seed, 100))})
	}
	return histories
}

// Deltas take a small part of what the states take: of real histories less
// than a hundred-and-thirtieth, as promised. Times are logged, not judged:
// they depend on what else the machine does.
func TestEncode_HistoriesAreSmall(t *testing.T) {
	for _, tc := range []struct {
		name      string
		histories func(testing.TB) []history
		ratio     float64
	}{{"synthetic", syntheticHistories, 100}, {"real", realHistories, 130}} {
		t.Run(tc.name, func(t *testing.T) {
			var states, deltas int
			var encode, apply []time.Duration // of states of about 250 KB
			for _, h := range tc.histories(t) {
				base := h.states[0]
				states += len(base)
				for _, target := range h.states[1:] {
					start := time.Now()
					d := Encode(base, target)
					encoded := time.Now()
					got, err := Apply(base, d, int64(len(target)))
					applied := time.Now()
					if err != nil || !bytes.Equal(got, target) {
						t.Fatalf("%s: %d bytes from %d: %v", h.name, len(target), len(base), err)
					}
					if n := len(target); n > 200<<10 && n < 300<<10 {
						encode, apply = append(encode, encoded.Sub(start)), append(apply, applied.Sub(encoded))
					}
					states, deltas, base = states+len(target), deltas+len(d), target
				}
			}
			ratio := float64(states) / float64(deltas)
			t.Logf("%.1f times smaller; 250 KB: encode %v, apply %v (medians of %d)", ratio, median(encode), median(apply), len(encode))
			if ratio < tc.ratio {
				t.Errorf("deltas take %d of %d bytes: only %.1f times smaller, promised is %.0f", deltas, states, ratio, tc.ratio)
			}
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func BenchmarkSynthetic(b *testing.B) { benchmark(b, syntheticHistories(b)) }

func BenchmarkReal(b *testing.B) { benchmark(b, realHistories(b)) }

// benchmark measures steps of about 250 KB: all of them in turn.
func benchmark(b *testing.B, histories []history) {
	b.Helper()
	type step struct{ base, target, delta []byte }
	var steps []step
	for _, h := range histories {
		for i, target := range h.states[1:] {
			if n := len(target); n > 200<<10 && n < 300<<10 {
				steps = append(steps, step{h.states[i], target, Encode(h.states[i], target)})
			}
		}
	}
	if len(steps) == 0 {
		b.Fatal("no state has about 250 KB")
	}
	run := func(name string, work func(s step) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				if err := work(steps[i%len(steps)]); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			b.ReportMetric(float64(median(took).Microseconds()), "p50-µs")
		})
	}
	run("encode", func(s step) error { Encode(s.base, s.target); return nil })
	run("apply", func(s step) error { _, err := Apply(s.base, s.delta, hawser.MaxStateSize); return err })
	run("check", func(s step) error {
		_, err := Check(s.delta, int64(len(s.base)), hawser.MaxStateSize)
		return err
	})
}
