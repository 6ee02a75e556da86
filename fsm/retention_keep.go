// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"time"

	"github.com/hawserdb/hawser"
)

// candidate is what retention looks at of a version.
type candidate struct {
	number  uint64
	created int64
	// size is that of the state, bytes what is stored for the version.
	size, bytes uint64
	at          place
	pinned      bool
	// bad is a version that cannot be restored.
	bad bool
}

// keeper decides which versions of one agent stay. It is shown all of them,
// newest first, and keeps no more than a few numbers about them.
//
// The rules are those of restic, and their union counts: each of keep-hourly,
// keep-daily and keep-weekly keeps the newest version of a period, as long as
// it has not kept so many. Unlike there, keep-within counts back from now, not
// from the newest version, and no period is filled up with the oldest version.
type keeper struct {
	all bool
	// since is the stamp from which on keep-within keeps, if the rule is set.
	within  bool
	since   int64
	periods [4]period
	// shown counts the versions, restorable says that one of them is not bad.
	shown      int64
	restorable bool
}

// period is one of the rules that count. It keeps a version that falls into
// another slot than the one kept last.
type period struct {
	left uint64
	slot int64
	used bool
}

func newKeeper(rules hawser.Retention, now time.Time) *keeper {
	k := &keeper{all: rules.KeepsAll(), within: rules.KeepWithin > 0, since: since(rules.KeepWithin, now)}
	for i, n := range [...]uint64{rules.KeepLast, rules.KeepHourly, rules.KeepDaily, rules.KeepWeekly} {
		k.periods[i].left = n
	}
	return k
}

// since is the oldest stamp that lies within d before now.
func since(d time.Duration, now time.Time) int64 { return now.UnixNano() - int64(d) }

// keep reports whether the next older version stays. The newest one always
// does, and the newest that can be restored.
func (k *keeper) keep(v candidate) bool {
	kept := k.all || v.pinned || k.shown == 0 || !v.bad && !k.restorable || k.within && v.created >= k.since
	for i, slot := range [...]int64{k.shown, hour(v.created), day(v.created), week(v.created)} {
		if p := &k.periods[i]; p.left > 0 && (!p.used || p.slot != slot) {
			p.left, p.slot, p.used = p.left-1, slot, true
			kept = true
		}
	}
	k.shown++
	k.restorable = k.restorable || !v.bad
	return kept
}

// hour, day and week number the periods of UTC since 1970; a week begins on Monday.
func hour(nanos int64) int64 { return floorDiv(nanos, int64(time.Hour)) }
func day(nanos int64) int64  { return floorDiv(nanos, 24*int64(time.Hour)) }
func week(nanos int64) int64 { return floorDiv(day(nanos)+3, 7) } // 1970 began on a Thursday

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return (a+1)/b - 1
	}
	return a / b
}
