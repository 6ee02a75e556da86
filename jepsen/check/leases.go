// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

const (
	// expired is why a hold ends whose lease was not renewed in time.
	expired = "expired"
	// lateEnd is how long after its time the end of a lease may be seen while the
	// cluster serves: a leader does not count the time in which it does not run, and
	// one that is starved may serve. ServesTime is the longest time between two
	// answers of a cluster that serves.
	lateEnd    = 6 * time.Second
	servesTime = 300 * time.Millisecond
)

// Leases checks that what is held under a lease does not expire before a TTL has
// passed since a renewal was sent that was confirmed, nor since a leader began,
// who counts anew; and that it ends soon after that when its holder has died, if a
// majority serves. Times are of a clock that nobody sets. What watchers saw they
// saw late, so an end is at least as early as that.
func Leases(ops []history.Op) Verdict {
	v := Verdict{Name: "leases"}
	l := learn(ops)
	for _, end := range l.ends {
		if end.Reason != expired {
			continue
		}
		v.Checked++
		l.early(&v, end)
	}
	deaths := 0
	for _, op := range ops {
		if op.Kind == history.Own && op.Outcome == history.Unknown {
			v.Checked++
			deaths++
			l.late(&v, op)
		}
	}
	if deaths > 0 {
		v.note(fmt.Sprintf("%d holders were killed", deaths))
	}
	return v
}

// leases is what a history tells of leases.
type leases struct {
	// renewed is the renewal of each lease that was confirmed and sent last.
	renewed map[string]history.Op
	// ends are in the order of the log, each as it was seen first.
	ends    []history.Op
	granted map[grant]history.Op
	terms   []term
	// answers are when the cluster answered what needs a majority.
	answers []time.Duration
	over    time.Duration // the end of the history
}

// term is a term of which clients were told.
type term struct {
	number uint64
	// before is when the last request was sent that was answered in an earlier one:
	// it had not begun then.
	before time.Duration
	// first is when it was told of first. Seen is when it was certain that it had begun, at that revision.
	first, seen time.Duration
	revision    uint64
}

func learn(ops []history.Op) *leases {
	l := &leases{renewed: map[string]history.Op{}, granted: map[grant]history.Op{}}
	ended := map[grant]history.Op{}
	terms := map[uint64][]history.Op{}
	for _, op := range ops {
		l.over = max(l.over, op.Return)
		if op.Outcome == history.OK && op.Revision != 0 && (!op.Stale || op.Kind == history.Renew) {
			l.answers = append(l.answers, op.Return)
		}
		at := grant{op.Agent, op.Epoch}
		switch op.Kind { //nolint:exhaustive // the others say nothing of leases
		case history.Renew:
			if op.Term != 0 { // a node that stops has none any more
				terms[op.Term] = append(terms[op.Term], op)
			}
			if before, ok := l.renewed[op.Value]; !ok || op.Call > before.Call {
				l.renewed[op.Value] = op
			}
		case history.Granted:
			l.granted[at] = op
		case history.Ended:
			if before, ok := ended[at]; !ok || op.Call < before.Call {
				ended[at] = op
			}
		}
	}
	for _, op := range ended {
		l.ends = append(l.ends, op)
	}
	slices.SortFunc(l.ends, func(a, b history.Op) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Agent, b.Agent))
	})
	slices.Sort(l.answers)
	l.terms = begins(terms)
	return l
}

// begins tells when terms began, from the renewals that were confirmed in each. An
// answer shows the term of its node, which may have changed since the renewal was
// confirmed; that of a request that was sent after such an answer is certain.
func begins(confirmed map[uint64][]history.Op) (list []term) {
	before := time.Duration(0)
	numbers := make([]uint64, 0, len(confirmed))
	for number := range confirmed {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		t := term{number: number, before: before, first: confirmed[number][0].Return}
		for _, op := range confirmed[number] {
			t.first = min(t.first, op.Return)
		}
		for _, op := range confirmed[number] {
			if op.Call > t.first && (t.seen == 0 || op.Return < t.seen) {
				t.seen, t.revision = op.Return, op.Revision
			}
			before = max(before, op.Call)
		}
		list = append(list, t)
	}
	return list
}

// early adds what is wrong if something expired too early.
func (l *leases) early(v *Verdict, end history.Op) {
	renewed, ok := l.renewed[end.Value]
	if !ok {
		return // it was held by nobody whose renewals are known
	}
	if left := renewed.Call + renewed.TTL - end.Call; left > 0 {
		v.add("it expired %s too early: %s\n  was renewed by %s", left, describe(end), describe(renewed))
	}
	for _, t := range l.terms {
		if t.before == 0 || t.seen == 0 || t.revision >= end.Revision {
			continue
		}
		if left := t.before + renewed.TTL - end.Call; left > 0 {
			v.add("it expired %s too early: %s\n  of term %d, which had not begun at %.3fs; its TTL is %s",
				left, describe(end), t.number, t.before.Seconds(), renewed.TTL)
		}
	}
}

// late adds what is wrong if what a dead client owned did not end soon.
func (l *leases) late(v *Verdict, own history.Op) {
	is, ok := l.granted[grant{own.Agent, own.Epoch}]
	renewed, known := l.renewed[is.Value]
	if !ok || !known {
		return
	}
	died, over := own.Return, l.over
	for _, end := range l.ends {
		if end.Agent == own.Agent && end.Epoch == own.Epoch {
			over = end.Call
		}
	}
	from := died
	for _, t := range l.terms {
		if t.first < over { // it counts anew
			from = max(from, t.first)
		}
	}
	if allowed := renewed.TTL + lateEnd + l.silence(from, over); over-from > allowed {
		v.add("it ended %s after its owner, and not within %s of %.3fs: %s", over-died, allowed, from.Seconds(), describe(own))
	}
}

// silence is for how long the cluster did not serve between two times.
func (l *leases) silence(from, to time.Duration) (sum time.Duration) {
	i, _ := slices.BinarySearch(l.answers, from)
	last := from
	for ; i < len(l.answers) && l.answers[i] < to; i++ {
		if gap := l.answers[i] - last; gap > servesTime {
			sum += gap
		}
		last = l.answers[i]
	}
	if gap := to - last; gap > servesTime {
		sum += gap
	}
	return sum
}
