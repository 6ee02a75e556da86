// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"math"
	"math/rand/v2"
	"strconv"
)

const (
	vocabulary = 3000
	// remembered is how much of the newest output can be printed again.
	remembered = 256 * kilobyte
)

// text writes what looks, to a compressor, like prose and tool output. What it
// writes needs no escaping in JSON: line ends are escaped already.
type text struct {
	rng   *rand.Rand
	words []string
	// past is the newest output; agents read the same files again and again.
	past []byte
}

var syllables = [...]string{
	"an", "ar", "be", "co", "de", "di", "en", "er", "ex", "fi", "in", "is", "le", "lo", "ma", "me", "ne", "no", "on", "or",
	"pa", "pe", "po", "ra", "re", "ri", "se", "si", "st", "ta", "te", "ti", "to", "tr", "un", "ur", "ve", "vi", "wa", "th",
}

func newText(rng *rand.Rand) *text {
	t := &text{rng: rng, words: make([]string, vocabulary)}
	for i := range t.words {
		for range 1 + rng.IntN(4) {
			t.words[i] += syllables[rng.IntN(len(syllables))]
		}
	}
	return t
}

// word returns a word; as in real text, the n-th most frequent is about n
// times as rare as the first.
func (t *text) word() string {
	return t.words[int(math.Pow(vocabulary, t.rng.Float64()))%vocabulary]
}

// prose appends sentences until b has end bytes.
func (t *text) prose(b []byte, end int) []byte {
	for len(b) < end {
		for range 4 + t.rng.IntN(14) {
			b = append(append(b, t.word()...), ' ')
		}
		b = append(b[:len(b)-1], ". "...)
		if t.rng.IntN(8) == 0 {
			b = append(b, `\n\n`...)
		}
	}
	return trim(b, end)
}

// output appends what a tool prints until b has end bytes: lines of one form,
// often lines that were printed before.
func (t *text) output(b []byte, end int) []byte {
	begin := len(b)
	for len(b) < end {
		if len(t.past) > 4*kilobyte && t.rng.IntN(3) == 0 {
			b = t.again(b)
			continue
		}
		b = t.lines(b)
	}
	b = trim(b, end)
	t.past = append(t.past, b[begin:]...)
	if over := len(t.past) - remembered; over > 0 {
		t.past = append(t.past[:0], t.past[over:]...)
	}
	return b
}

// again appends a piece of what was printed before.
func (t *text) again(b []byte) []byte {
	n := min(kilobyte+t.rng.IntN(3*kilobyte), len(t.past))
	from := t.rng.IntN(len(t.past) - n + 1)
	piece := t.past[from : from+n]
	for len(piece) > 0 && piece[0] != ' ' { // not into the middle of an escape
		piece = piece[1:]
	}
	return append(trim(append(b, piece...), len(b)+len(piece)), ' ')
}

// lines appends a few lines of a listing, a log or a program.
func (t *text) lines(b []byte) []byte {
	form := t.rng.IntN(3)
	file := t.word() + "/" + t.word()
	number := t.rng.IntN(900)
	for range 5 + t.rng.IntN(40) {
		number += 1 + t.rng.IntN(3)
		switch form {
		case 0:
			b = append(append(append(b, file...), ".py:"...), strconv.Itoa(number)...)
			b = append(append(append(b, ":    def "...), t.word()...), "(self, "...)
			b = append(append(b, t.word()...), "):"...)
		case 1:
			b = append(append(b, "2026-01-17 10:"...), strconv.Itoa(10+number%50)...)
			b = append(append(append(b, " INFO "...), file...), " "...)
			b = append(append(append(append(b, t.word()...), '='), strconv.Itoa(t.rng.IntN(10000))...), " ok"...)
		default:
			b = append(append(b, strconv.Itoa(number)...), "        return "...)
			b = append(append(append(append(b, t.word()...), '.'), t.word()...), "()"...)
		}
		b = append(b, `\n`...)
	}
	return b
}

// trim cuts b to end bytes without leaving half an escape.
func trim(b []byte, end int) []byte {
	b = b[:min(end, len(b))]
	if n := len(b); n > 0 && b[n-1] == '\\' {
		b[n-1] = ' '
	}
	return b
}
