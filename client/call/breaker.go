// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// breaker is a target's. It is safe for concurrent use.
//
// Of the library it has the window in which the rate of failures is counted. The states
// are its own: the library's half-open breaker takes a trial back with a verdict only,
// and as a policy around an attempt it counts everything that is no failure as a
// success, an attempt that never began and one that the caller ended among them.
type breaker struct {
	cfg    *Config
	target string

	// mu guards what follows. No callback is called under it.
	mu    sync.Mutex
	state State
	// until is when an open one lets a trial through, trial is that a half-open one has
	// done so and waits for what it says.
	until time.Time
	trial bool
	// theirs is that others have opened it, and nothing was decided here since.
	theirs bool
	// era is the number of changes. An attempt that began in another one says nothing of
	// this one.
	era    uint64
	inARow uint                               // failures, while closed
	rate   circuitbreaker.CircuitBreaker[any] // of them, while closed; nil for none
	// news are changes that nobody was told of yet; telling is that somebody tells.
	news    []news
	telling bool
}

// news is a change and, unless others have made it, what they are to know.
type news struct {
	change  Change
	publish *SharedState
}

func newBreaker(cfg *Config, target string) *breaker {
	b := &breaker{cfg: cfg, target: target, state: Closed}
	b.forgetLocked()
	return b
}

// forgetLocked forgets what was counted.
func (b *breaker) forgetLocked() {
	b.inARow = 0
	if b.cfg.Rate > 0 {
		b.rate = circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(b.cfg.Rate, b.cfg.RateOf, b.cfg.RatePeriod).Build()
	}
}

// verdict is what an attempt says of a target.
type verdict uint8

const (
	undecided verdict = iota
	well
	ill
)

// enter reports whether an attempt may begin, and returns its era. Each one that may
// ends with a call of leave.
func (b *breaker) enter() (era uint64, ok bool) {
	b.lock()
	defer b.unlock()
	if b.state == Open && !time.Now().Before(b.until) {
		b.becomeLocked(HalfOpen, true)
	}
	ok = b.state == Closed || b.state == HalfOpen && !b.trial
	b.trial = b.state == HalfOpen
	return b.era, ok
}

// refuses reports whether an attempt now is refused for sure.
func (b *breaker) refuses() bool {
	b.lock()
	defer b.unlock()
	return b.state == Open && time.Now().Before(b.until)
}

// leave notes what an attempt of an era says.
func (b *breaker) leave(era uint64, v verdict) {
	b.mu.Lock()
	defer b.unlock()
	switch {
	case b.era != era:
	case v == undecided:
		b.trial = false
	case b.state == Closed:
		if b.tooManyLocked(v) {
			b.openLocked(time.Now().Add(b.cfg.OpenFor), true)
		}
	case v == well:
		b.theirs = false
		b.becomeLocked(Closed, true)
	default:
		b.theirs = false
		b.openLocked(time.Now().Add(b.cfg.OpenFor), true)
	}
}

// tooManyLocked counts what an attempt says of a target whose breaker is closed, and
// reports whether it has failed too often.
func (b *breaker) tooManyLocked(v verdict) bool {
	if b.inARow++; v == well {
		b.inARow = 0
	}
	if b.rate == nil {
		return b.inARow >= b.cfg.Failures
	}
	if v == well {
		b.rate.RecordSuccess()
	} else {
		b.rate.RecordFailure()
	}
	return b.inARow >= b.cfg.Failures || b.rate.IsOpen()
}

// openLocked opens it, or leaves it open for another time, and forgets what was counted.
func (b *breaker) openLocked(until time.Time, mine bool) {
	b.until = until
	b.forgetLocked()
	b.becomeLocked(Open, mine)
}

// becomeLocked changes the state; mine is that it was decided here, and others are to
// know.
func (b *breaker) becomeLocked(to State, mine bool) {
	if b.state == to {
		return
	}
	n := news{change: Change{Target: b.target, From: b.state, To: to, At: time.Now()}}
	if mine && to != HalfOpen {
		n.publish = &SharedState{Target: b.target, State: to}
		if to == Open {
			n.publish.Until = b.until
		}
	}
	b.news = append(b.news, n)
	b.state, b.trial = to, false
	b.era++
}

// lock locks mu, and heeds what others have published.
func (b *breaker) lock() {
	if b.cfg.Shared == nil {
		b.mu.Lock()
		return
	}
	s := b.cfg.Shared.Load(b.target)
	b.mu.Lock()
	switch {
	case s.State == Open && s.Until.After(time.Now()) && (b.state != Open || s.Until.After(b.until)):
		b.theirs = true
		b.openLocked(s.Until, false)
	case s.State == Closed && b.theirs:
		b.theirs = false
		b.becomeLocked(Closed, false)
	}
}

// unlock unlocks mu, and tells of what has changed.
func (b *breaker) unlock() {
	mine := len(b.news) > 0 && !b.telling
	b.telling = b.telling || mine
	b.mu.Unlock()
	if mine {
		b.tell()
	}
}

// tell tells of all changes in their order. The callbacks may make calls: what changes
// meanwhile is told next.
func (b *breaker) tell() {
	for n, ok := b.nextNews(); ok; n, ok = b.nextNews() {
		if b.cfg.OnChange != nil {
			b.cfg.OnChange(n.change)
		}
		if b.cfg.Shared != nil && n.publish != nil {
			b.cfg.Shared.Publish(*n.publish)
		}
	}
}

func (b *breaker) nextNews() (n news, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.news) == 0 {
		b.telling = false
		return news{}, false
	}
	n, b.news = b.news[0], b.news[1:]
	return n, true
}

// now returns the state, and for Open until when.
func (b *breaker) now() (State, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Open {
		return b.state, time.Time{}
	}
	return Open, b.until
}
