// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"sync"
	"time"
)

// paceFor is how long an append says something about the disk.
const paceFor = 5 * time.Second

// pace is how long appends to the log take. One is under way at most.
type pace struct {
	mu    sync.Mutex
	began time.Time // of the one under way
	// took is how long the last one took, which ended then.
	took  time.Duration
	ended time.Time
}

// begin notes that an append begins; the func that it returns, that it has ended.
func (p *pace) begin() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = time.Now()
		p.took, p.began = p.ended.Sub(p.began), time.Time{}
	}
}

// now returns how long the last append took, or the one under way takes if that is
// more already; 0 when there was none of late.
func (p *pace) now() (took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.ended) < paceFor {
		took = p.took
	}
	if !p.began.IsZero() {
		took = max(took, now.Sub(p.began))
	}
	return took
}
