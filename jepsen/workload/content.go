// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A value may ask for content of a size, in bytes, that cannot be packed: one in
// which everything differs from all other states, or one of which nearly all is
// the same in all states of the agent with that size.
const (
	newOf  = "new"
	sameOf = "same"
)

// large returns what a value begins with whose content is large: now and then more
// than what is sent in one part, and seldom some MiB.
func large(rng *rand.Rand) string {
	how, size := newOf, 130<<10+rng.IntN(300<<10)
	if rng.IntN(2) == 0 {
		how, size = sameOf, 200<<10
	}
	if rng.IntN(10) == 0 {
		size = 1<<20 + rng.IntN(3<<20)
	}
	return how + strconv.Itoa(size) + "-"
}

// sizeOf returns the size that a value asks for, 0 for none.
func sizeOf(value, how string) int {
	rest, _ := strings.CutPrefix(value, how)
	digits, _, _ := strings.Cut(rest, "-")
	if size, err := strconv.Atoi(digits); rest != value && err == nil && size < 8<<20 {
		return size
	}
	return 0
}

// content is the state that stands for a value: a few kilobytes, of which most
// are the same in all states of the agent, or what the value asks for.
func content(agent, value string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", value, agent)
	if size := sizeOf(value, newOf); size > 0 {
		return noise(b.String(), agent+value, size)
	}
	if size := sizeOf(value, sameOf); size > 0 {
		return noise(b.String(), agent, size)
	}
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(agent))))
	for range 100 + rng.IntN(200) {
		fmt.Fprintf(&b, "fact %d: %x\n", rng.IntN(1000), rng.Uint64())
	}
	return []byte(b.String())
}

func noise(head, seed string, size int) []byte {
	b := make([]byte, len(head)+size)
	copy(b, head)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b[len(head):]) // never fails
	return b
}

// valueOf returns the value for which a state stands; one that is no state of the
// agent stands for itself, which nobody has saved.
func valueOf(agent string, state []byte) string {
	value, _, _ := strings.Cut(string(state[:min(len(state), 200)]), "\n")
	if string(content(agent, value)) != string(state) {
		return fmt.Sprintf("%d bytes that begin with %q and are no state of it", len(state), value)
	}
	return value
}
