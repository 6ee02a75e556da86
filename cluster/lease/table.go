// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// table is what one leader knows of leases in one term. Times are on a clock
// of its own, which does not count pauses of the process. It is not safe for
// concurrent use.
type table struct {
	term   uint64
	leases map[hawser.LeaseID]*lease
	// endings are holds that somebody else has ended and whose holders have not
	// acknowledged it.
	endings map[holdKey]*ending
	wheel   wheel
	hints   hints

	// loaded is closed once the table holds what was open before the term.
	loaded chan struct{}
	// gone and settled are what left the table before it was loaded: nil after.
	gone    map[hawser.LeaseID]struct{}
	settled map[holdKey]struct{}
}

// lease is one that is open, or not ended altogether.
type lease struct {
	id    hawser.LeaseID
	ttl   time.Duration
	state leaseState
	timer timer
	// outcome is closed when it is known what became of a lease that is
	// closing; nil while nobody waits for that.
	outcome chan struct{}
	// ended are its holds in table.endings.
	ended []*ending
}

type leaseState uint8

const (
	// open: it can be renewed.
	open leaseState = iota
	// closing: its deadline has passed, and its end is being proposed.
	closing
	// remaining: it has ended, but more of what it held has to be given up.
	remaining
)

type holdKey struct {
	resource hawser.Resource
	lease    hawser.LeaseID
}

// ending is a hold that somebody else has ended.
type ending struct {
	holdKey

	token  uint64
	reason string
	timer  timer
}

// newTable returns the empty table of a term.
func newTable(term uint64) *table {
	return &table{
		term: term, leases: make(map[hawser.LeaseID]*lease), endings: make(map[holdKey]*ending), hints: newHints(),
		loaded: make(chan struct{}), gone: make(map[hawser.LeaseID]struct{}), settled: make(map[holdKey]struct{}),
	}
}

func (t *table) isLoaded() bool { return t.gone == nil }

// open notes that the log has opened a lease. One that is open already keeps
// its deadline.
func (t *table) open(id hawser.LeaseID, ttl, now time.Duration) {
	if l := t.leases[id]; l != nil && l.state != remaining {
		return
	}
	t.drop(id)
	delete(t.gone, id)
	l := &lease{id: id, ttl: ttl, timer: timer{due: now + ttl}}
	l.timer.lease = l
	t.leases[id] = l
	t.wheel.add(&l.timer)
}

// end notes that the log has ended a lease, and whether anything is left to be
// given up.
func (t *table) end(id hawser.LeaseID, more bool, now time.Duration) {
	t.drop(id)
	if !t.isLoaded() {
		t.gone[id] = struct{}{}
	}
	if more {
		l := &lease{id: id, state: remaining, timer: timer{due: now}}
		l.timer.lease = l
		t.leases[id] = l
		t.wheel.add(&l.timer)
	}
}

// drop removes a lease with all that is about it.
func (t *table) drop(id hawser.LeaseID) {
	l := t.leases[id]
	if l == nil {
		return
	}
	delete(t.leases, id)
	l.timer.dropped = true
	if l.outcome != nil {
		close(l.outcome)
	}
	for _, e := range l.ended {
		e.timer.dropped = true
		delete(t.endings, e.holdKey)
	}
	t.hints.forgetLease(id)
}

// renew moves the deadline of a lease that is open.
func (t *table) renew(id hawser.LeaseID, now time.Duration) {
	if l := t.leases[id]; l != nil && l.state == open {
		l.timer.due = now + l.ttl
	}
}

// endHold notes that somebody else has ended a hold. It is given to the
// successor once the holder's deadline, as it is now, has passed: no renewal
// that was answered without this end reaches further. Until the table is
// loaded the holder may not be known; then the hold is found when it is.
func (t *table) endHold(key holdKey, token uint64, reason string) {
	if l := t.leases[key.lease]; l != nil {
		t.addEnding(l, key, token, reason, l.timer.due)
	}
	delete(t.settled, key)
}

func (t *table) addEnding(l *lease, key holdKey, token uint64, reason string, due time.Duration) {
	t.settle(key)
	e := &ending{holdKey: key, token: token, reason: reason, timer: timer{due: due}}
	e.timer.ending = e
	t.endings[key] = e
	l.ended = append(l.ended, e)
	t.wheel.add(&e.timer)
}

// settle notes that a lease has no ended hold in a resource any more.
func (t *table) settle(key holdKey) {
	if !t.isLoaded() {
		t.settled[key] = struct{}{}
	}
	e := t.endings[key]
	if e == nil {
		return
	}
	delete(t.endings, key)
	e.timer.dropped = true
	if l := t.leases[key.lease]; l != nil {
		for i, other := range l.ended {
			if other == e {
				l.ended = append(l.ended[:i], l.ended[i+1:]...)
				break
			}
		}
	}
}

// succeeded notes that the wait for the holder of an ended hold is over.
func (t *table) succeeded(resource hawser.Resource, token uint64) {
	for key, e := range t.endings {
		if key.resource == resource && e.token == token {
			t.settle(key)
			return
		}
	}
}

// known takes a lease that was there before the term.
func (t *table) known(info fsm.LeaseInfo, now time.Duration) {
	if info.Ended {
		l := &lease{id: info.ID, state: remaining, timer: timer{due: now}}
		l.timer.lease = l
		t.leases[info.ID] = l
		t.wheel.add(&l.timer)
		return
	}
	t.open(info.ID, info.TTL, now)
}

// load takes the ended holds, and completes the table.
func (t *table) load(ended []fsm.EndedHold, now time.Duration) {
	for _, h := range ended {
		key := holdKey{h.Resource, h.Lease}
		_, settled := t.settled[key]
		if l := t.leases[h.Lease]; l != nil && !settled && t.endings[key] == nil {
			t.addEnding(l, key, h.Token, h.Reason, now+l.ttl)
		}
	}
	t.gone, t.settled = nil, nil
	close(t.loaded)
}

// job is something to propose, for the lease or the ending that is set.
type job struct {
	term   uint64
	lease  *lease
	ending *ending
}

// due closes the leases whose deadlines have passed and appends to jobs what
// is to be proposed.
func (t *table) due(now time.Duration, jobs []job) []job {
	t.wheel.advance(now, func(m *timer) {
		if m.lease != nil && m.lease.state == open {
			m.lease.state = closing
		}
		jobs = append(jobs, job{term: t.term, lease: m.lease, ending: m.ending})
	})
	return jobs
}

// retry puts a job back that has to be proposed again, unless the log has
// settled it meanwhile.
func (t *table) retry(j job, now time.Duration) {
	m := j.timer()
	if j.term == t.term && !m.dropped {
		m.due = now + retryPause
		t.wheel.add(m)
	}
}

func (j job) timer() *timer {
	if j.lease != nil {
		return &j.lease.timer
	}
	return &j.ending.timer
}

// retire tells who waits for an outcome that there will be none here.
func (t *table) retire() {
	for _, l := range t.leases {
		if l.outcome != nil {
			close(l.outcome)
			l.outcome = nil
		}
	}
	if !t.isLoaded() {
		close(t.loaded)
	}
}
