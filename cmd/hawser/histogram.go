// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// subBits is the precision of a histogram: 2^subBits buckets for each power
// of two, so that a value is known to within 1 %.
const subBits = 7

// histogram counts durations in constant memory. Its methods may be called
// from any goroutine; the zero value is empty.
type histogram struct {
	counts [(64 - subBits + 1) << subBits]atomic.Uint64
	count  atomic.Uint64
	max    atomic.Int64
}

// add counts one duration. Negative ones count as 0.
func (h *histogram) add(d time.Duration) {
	d = max(0, d)
	h.counts[bucket(uint64(d))].Add(1)
	h.count.Add(1)
	for {
		seen := h.max.Load()
		if int64(d) <= seen || h.max.CompareAndSwap(seen, int64(d)) {
			return
		}
	}
}

// bucket returns the index for a value: the value itself below 2^subBits,
// else its exponent and the subBits bits after the first.
func bucket(v uint64) int {
	exponent := bits.Len64(v) - 1 - subBits
	if exponent < 0 {
		return int(v)
	}
	return (exponent+1)<<subBits | int(v>>exponent)&(1<<subBits-1)
}

// bucketTop returns the largest value of a bucket.
func bucketTop(i int) uint64 {
	exponent := i>>subBits - 1
	if exponent < 0 {
		return uint64(i)
	}
	first := uint64(1<<subBits|i&(1<<subBits-1)) << exponent
	return first + (1<<exponent - 1)
}

// quantile returns the duration that the share q of all does not exceed, 0
// when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	want := uint64(math.Ceil(q * float64(h.count.Load())))
	var seen uint64
	for i := range h.counts {
		seen += h.counts[i].Load()
		if seen >= max(1, want) {
			return min(time.Duration(min(bucketTop(i), math.MaxInt64)), time.Duration(h.max.Load()))
		}
	}
	return time.Duration(h.max.Load())
}
