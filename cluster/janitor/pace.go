// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"time"
)

// What a pace starts with and stays within. An entry that removes a version
// keeps each replica's apply loop busy for some ten microseconds, and every
// save waits behind it.
const (
	minNumbers   = 32
	startNumbers = 128
	maxNumbers   = 256
	// stepNumbers is by how many more it goes on after an entry that was quick.
	stepNumbers = 32
	// tolerated is how much longer than the quickest an entry may take before
	// the next one is smaller.
	tolerated = 6 * time.Millisecond
	// shareOfTime is the time from the end of one entry to the next, in times
	// that the entry took, most of which is waiting for disks.
	shareOfTime = 1
	minPause    = 2 * time.Millisecond
	maxPause    = time.Second
)

// pace decides how much work goes into one entry and how long to wait between
// two, by how long they take: what holds up the janitor holds up everybody. The
// zero value is not usable; see newPace. It is a value: no clock, no goroutine.
type pace struct {
	numbers int
	// quickest is what an entry takes when nothing is in its way, as far as
	// that was seen. It drifts up, or one lucky entry would count for ever.
	quickest time.Duration
}

func newPace() pace { return pace{numbers: startNumbers} }

// took takes in how long an entry took and returns how long to wait.
func (p *pace) took(d time.Duration) (pause time.Duration) {
	p.quickest += p.quickest / 64
	if p.quickest == 0 || d < p.quickest {
		p.quickest = d
	}
	if d > 2*p.quickest+tolerated {
		p.numbers = max(p.numbers*3/4, minNumbers)
	} else {
		p.numbers = min(p.numbers+stepNumbers, maxNumbers)
	}
	return min(max(shareOfTime*d, minPause), maxPause)
}

// rest waits, and reports whether the janitor goes on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
