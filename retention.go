// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import "time"

// Retention says which versions of an agent are kept. A version is kept when
// any of its rules keeps it; the head and pinned versions always are. The zero
// value keeps everything.
type Retention struct {
	// KeepLast keeps the newest versions, so many of them.
	KeepLast uint64
	// KeepWithin keeps what was saved within this time before now, by the
	// cluster's clock.
	KeepWithin time.Duration
	// KeepHourly, KeepDaily and KeepWeekly keep the newest version of each of
	// the last so many hours, days and weeks (UTC, weeks from Monday) that
	// have one.
	KeepHourly, KeepDaily, KeepWeekly uint64
}

// DefaultRetention is that of agents for which no policy was set.
func DefaultRetention() Retention {
	return Retention{KeepLast: 1000, KeepWithin: 30 * 24 * time.Hour}
}

// KeepsAll reports whether r removes nothing, ever.
func (r Retention) KeepsAll() bool { return r == Retention{} }

// Policy is the retention of all agents of a namespace whose names start with
// the segments of Prefix; the policy with the longest prefix counts.
type Policy struct {
	Namespace string
	// Prefix is empty for the whole namespace.
	Prefix    string
	Retention Retention
}
