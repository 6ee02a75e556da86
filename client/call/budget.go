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
	share float64

	mu   sync.Mutex
	have float64 // guarded by mu
}

func newTokens(share float64) *tokens { return &tokens{share: share, have: reserve} }

// deposit notes a call.
func (t *tokens) deposit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have = min(t.have+t.share, reserve+100*t.share)
}

// spent reports whether there is none.
func (t *tokens) spent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.have < 1
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
