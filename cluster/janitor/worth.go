// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"time"

	"github.com/hawserdb/hawser/fsm"
)

const (
	// minGain is the least number of bytes for which a segment is rewritten: an
	// entry of the log and the records that it changes cost about that.
	minGain = 2 << 10
	// settledAfter is how long an agent must not have saved for its newest
	// segment to count as settled.
	settledAfter = 30 * time.Second
	// settledShare is the part of a settled segment, 1/16, that has to be dead.
	settledShare = 16
)

// worth reports whether a keyframe of so many stored bytes should take the
// place of what r says is dead, when the agent saved last so long ago.
//
// A segment that does not grow is rewritten at most once for what is dead now,
// so little is enough. One that grows would be rewritten again and again: an
// agent that saves for ever and keeps its last ten versions makes one version
// dead with each save. There a rewrite must free as much as it writes, and then
// a byte that was saved costs at most one more byte in the log, while dead
// weight is never more than about one keyframe.
func worth(r fsm.Rewrite, keyframe int64, idle time.Duration) bool {
	gain := r.Dead + r.Own - keyframe
	if gain < minGain {
		return false
	}
	if r.Grows && idle < settledAfter {
		return gain >= keyframe
	}
	return gain*settledShare >= r.Dead+r.Own+r.Rest
}
