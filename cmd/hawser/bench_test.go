// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
	"time"
)

// Claim: buckets rise with the value, know it to within 1 %, and hold every
// duration there is.
func TestHistogram_Buckets(t *testing.T) {
	last := -1
	for v := uint64(0); v < math.MaxInt64/3; v = v + v/200 + 1 {
		i := bucket(v)
		if i < last {
			t.Fatalf("bucket(%d) = %d after %d", v, i, last)
		}
		last = i
		if top := bucketTop(i); top < v || float64(top-v) > float64(v)/100+1 {
			t.Fatalf("bucket %d of %d ends at %d", i, v, top)
		}
	}
	var h histogram
	h.add(math.MaxInt64)
	h.add(-1)
	if got := h.quantile(1); got != math.MaxInt64 {
		t.Errorf("largest: %d", got)
	}
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("smallest: %d", got)
	}
}

func TestHistogram_Quantiles(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing: %v", got)
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for _, test := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 500 * time.Millisecond}, {0.95, 950 * time.Millisecond}, {0.99, 990 * time.Millisecond}, {1, time.Second}} {
		got := h.quantile(test.q)
		if got < test.want || float64(got) > float64(test.want)*1.01 {
			t.Errorf("quantile(%v) = %v, want %v", test.q, got, test.want)
		}
	}
}

// Claim: the result has the documented keys' meaning: operations of the
// measured time per second, errors summed.
func TestSummarise(t *testing.T) {
	var h histogram
	for range 10 {
		h.add(2 * time.Millisecond)
	}
	workers := []*worker{{errors: 1}, {errors: 2}}
	got := summarise(benchPlan{clients: 2, agents: 4, size: 8}, workers, &h, 5*time.Second)
	want := benchResult{Clients: 2, Agents: 4, Size: 8, DurationS: 5, Ops: 10, OpsS: 2, P50: 2, P95: 2, P99: 2, Max: 2, Errors: 3}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
