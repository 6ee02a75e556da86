// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package trace makes synthetic histories of agents for tests, benchmarks and
// demonstrations: the sequence of whole states that an agent would save.
//
// The shape is measured from real runs of several agents: a state is JSON that
// holds the whole message history; a step adds 2.6 KB at the median and 179 KB
// once in a hundred; small fields near the front change at every step; long
// runs condense their history 3 to 7 times by cutting 60 to 770 KB out of its
// middle; states reach 2.8 MB and compress about six-fold.
//
// Histories are deterministic: one seed gives the same bytes everywhere.
package trace

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strconv"
)

const (
	kilobyte = 1 << 10
	// maxState is the size at which a history is condensed in any case.
	maxState = 2800 * kilobyte
	// longRun is the number of steps from which a run condenses its history.
	longRun              = 100
	minCondensations     = 3
	maxCondensations     = 7
	minCut, maxCut       = 60 * kilobyte, 770 * kilobyte
	minPrompt, maxPrompt = 6 * kilobyte, 30 * kilobyte
)

// growth is the distribution of what a step adds, as quantiles; between them
// the logarithm of the size is linear.
var growth = []struct{ quantile, bytes float64 }{
	{0, 400}, {0.1, 1.1 * kilobyte}, {0.5, 2.6 * kilobyte}, {0.75, 5.4 * kilobyte}, {0.9, 11 * kilobyte}, {0.99, 179 * kilobyte}, {1, 888 * kilobyte},
}

// history is a run under way.
type history struct {
	rng      *rand.Rand
	text     *text
	run      uint64
	messages [][]byte
	size     int // of all messages
	// condense holds the steps after which the history is condensed.
	condense map[int]bool
}

// Generate returns the states of one run, one a step. Each is the caller's own.
func Generate(seed uint64, steps int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		h := newHistory(seed, steps)
		for step := 1; step <= steps; step++ {
			h.advance(step)
			if !yield(h.state(step)) {
				return
			}
		}
	}
}

func newHistory(seed uint64, steps int) *history {
	rng := rand.New(rand.NewPCG(seed, 0x68617773))
	h := &history{rng: rng, text: newText(rng), run: rng.Uint64(), condense: map[int]bool{}}
	if steps >= longRun {
		for range minCondensations + rng.IntN(maxCondensations-minCondensations+1) {
			h.condense[steps/5+rng.IntN(steps-steps/5)] = true
		}
	}
	h.add("system", minPrompt+rng.IntN(maxPrompt-minPrompt), h.text.prose)
	h.add("user", kilobyte+rng.IntN(3*kilobyte), h.text.prose)
	return h
}

// advance adds what one step says and does.
func (h *history) advance(step int) {
	if h.condense[step] {
		h.cut(logUniform(h.rng, minCut, maxCut))
	}
	total := h.grow()
	for h.size+total > maxState-8*kilobyte {
		h.cut(maxCut)
	}
	say := min(total/3, 300+h.rng.IntN(1500))
	h.add("assistant", say, h.text.prose)
	h.add("tool", total-say, h.text.output)
}

// grow draws what a step adds.
func (h *history) grow() int {
	q := h.rng.Float64()
	for i := 1; ; i++ {
		low, high := growth[i-1], growth[i]
		if q <= high.quantile {
			at := (q - low.quantile) / (high.quantile - low.quantile)
			return int(low.bytes * math.Pow(high.bytes/low.bytes, at))
		}
	}
}

// add appends a message of about n bytes.
func (h *history) add(role string, n int, write func(b []byte, end int) []byte) {
	b := fmt.Appendf(nil, `{"role":%q,"id":"msg_%016x","content":"`, role, h.rng.Uint64())
	b = write(b, max(n-2, len(b)))
	b = append(b, `"}`...)
	h.messages = append(h.messages, b)
	h.size += len(b)
}

// cut takes about n bytes out of the middle and leaves a summary, as far as
// there is a middle.
func (h *history) cut(n int) {
	first := 2
	last, removed := first, 0
	for last < len(h.messages)-4 && removed < n {
		removed += len(h.messages[last])
		last++
	}
	if removed < 2*kilobyte {
		return
	}
	tail := append([][]byte(nil), h.messages[last:]...)
	h.messages = h.messages[:first]
	h.size -= removed
	h.add("user", kilobyte, h.text.prose)
	h.messages = append(h.messages, tail...)
}

// state returns the whole state: what changes stands before what stays.
func (h *history) state(step int) []byte {
	b := make([]byte, 0, h.size+len(h.messages)+2*kilobyte)
	b = fmt.Appendf(b, `{"schema":"agentstate/1","agent":"synthetic","run":"%016x","step":%d,`, h.run, step)
	b = fmt.Appendf(b, `"scratch":{"usage":{"prompt_tokens":%d,"completion_tokens":%d},"cost":%s,"exec_time":%s,"last_action":"`,
		h.size/4*step, 300*step+h.rng.IntN(300), strconv.FormatFloat(float64(step)*0.0173, 'f', 4, 64), strconv.FormatFloat(h.rng.Float64()*3, 'f', 6, 64))
	b = h.text.prose(b, len(b)+40+h.rng.IntN(160))
	b = append(b, `"},"messages":[`...)
	for i, m := range h.messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m...)
	}
	return append(b, "]}"...)
}

func logUniform(rng *rand.Rand, low, high int) int {
	return int(float64(low) * math.Pow(float64(high)/float64(low), rng.Float64()))
}
