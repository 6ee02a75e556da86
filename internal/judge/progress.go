// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import "time"

// progress says for how long a counter has stood still, waits left out.
type progress struct {
	watched bool
	counter uint64
	// since is when the counter changed last, moved on by what was waited since.
	since time.Time
	// waits are those under way, the first of which began at waiting.
	waits   int
	waiting time.Time
}

func (p *progress) step(at time.Time, counter uint64) {
	if p.watched && p.counter == counter {
		return
	}
	p.watched, p.counter, p.since = true, counter, at
	if p.waits > 0 {
		p.waiting = at // what was waited before is no part of what follows
	}
}

func (p *progress) wait(at time.Time) {
	if p.waits++; p.waits == 1 {
		p.waiting = at
	}
}

func (p *progress) resume(at time.Time) {
	if p.waits == 0 {
		return
	}
	if p.waits--; p.waits == 0 && at.After(p.waiting) {
		p.since = p.since.Add(at.Sub(p.waiting))
	}
}

// idle is never negative.
func (p *progress) idle(now time.Time) time.Duration {
	if !p.watched {
		return 0
	}
	if p.waits > 0 {
		now = p.waiting
	}
	return max(now.Sub(p.since), 0)
}
