// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import "sync"

// reserve is how many repetitions are always possible at first.
const reserve = 10

// tokens is a retry budget: each call adds a part of a token, each repetition takes a
// whole one, so that repetitions are no more than that part of the calls, but for a
// reserve. It is the budget of Finagle, and much like gRPC's retry throttling (gRFC
// A6). The library's own bounds how many repetitions run at a time, and so lets a
// thousand calls become five thousand while all of them wait for their pauses.
type tokens struct {
	share, most float64

	mu   sync.Mutex
	have float64 // guarded by mu
}

// newTokens returns a budget; a negative share is of no repetition at all.
func newTokens(share float64) *tokens {
	if share < 0 {
		return &tokens{}
	}
	return &tokens{share: share, have: reserve, most: reserve + 100*share}
}

// deposit notes a call.
func (t *tokens) deposit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have = min(t.have+t.share, t.most)
}

// take takes one, if there is one.
func (t *tokens) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have < 1 {
		return false
	}
	t.have--
	return true
}
