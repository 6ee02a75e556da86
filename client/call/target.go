// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
)

// State is that of a target's breaker.
type State string

// The states.
const (
	Closed   State = "closed"
	Open     State = "open"
	HalfOpen State = "half-open"
)

// Change is one of a breaker. One that others have opened (Config.Shared) is told when
// a call meets it.
type Change struct {
	Target   string
	From, To State
	At       time.Time
}

// Target is what is known of one, counted since it is remembered.
type Target struct {
	Name  string
	State State
	// Until is when an attempt may be made again; zero unless the state is Open.
	Until time.Time
	// Calls were made, of which Failed have failed in the end. Of those, Refused made no
	// attempt, and OverBudget were not repeated because of the retry budget.
	Calls, Failed, Refused, OverBudget uint64
	// Attempts were made; Repeats of them were repetitions and hedges.
	Attempts, Repeats uint64
	// UnderWay are calls that have not returned.
	UnderWay int64
	// Last is when it was called last.
	Last time.Time
}

// target is one that is called.
type target struct {
	name     string
	last     time.Time    // guarded by the policy's mu
	underWay atomic.Int64 // calls; raised under the policy's mu
	busy     atomic.Int64 // attempts that hold or want a slot; one may outlive its call
	breaker  *breaker
	slots    bulkhead.Bulkhead[any]
	rate     ratelimiter.RateLimiter[any] // nil for no limit

	calls, failed, refused, overBudget, attempts, repeats atomic.Uint64
}

func (p *Policy) newTarget(name string) *target {
	t := &target{name: name, breaker: newBreaker(&p.cfg, name)}
	t.slots = bulkhead.New[any](p.cfg.Concurrent)
	if p.cfg.PerSecond > 0 {
		t.rate = ratelimiter.NewSmooth[any](p.cfg.PerSecond, time.Second)
	}
	return t
}

// enter returns the target of a name, and notes that a call of it is under way; nil if
// all that may be remembered are.
func (p *Policy) enter(name string) *target {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.targets[name]
	if t == nil {
		if len(p.targets) >= p.cfg.MaxTargets && !p.forgetLocked() {
			return nil
		}
		t = p.newTarget(name)
		p.targets[name] = t
	}
	t.last = time.Now()
	t.underWay.Add(1)
	t.calls.Add(1)
	return t
}

// forgetLocked forgets the target that was called longest ago, of those that are not
// being called and are not open: that would forget their bounds. It reports whether
// there was one.
func (p *Policy) forgetLocked() bool {
	now := time.Now()
	var oldest *target
	for _, t := range p.targets {
		if t.underWay.Load() > 0 || t.busy.Load() > 0 || oldest != nil && !t.last.Before(oldest.last) {
			continue
		}
		if _, until := t.breaker.now(); !until.After(now) {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	delete(p.targets, oldest.name)
	return true
}

// Targets returns what is known of each, by name.
func (p *Policy) Targets() []Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Target, 0, len(p.targets))
	for _, t := range p.targets {
		list = append(list, t.snapshot())
	}
	slices.SortFunc(list, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// snapshot is called with the policy's mu held.
func (t *target) snapshot() Target {
	state, until := t.breaker.now()
	return Target{
		Name: t.name, State: state, Until: until, Calls: t.calls.Load(), Failed: t.failed.Load(), Refused: t.refused.Load(),
		OverBudget: t.overBudget.Load(), Attempts: t.attempts.Load(), Repeats: t.repeats.Load(), UnderWay: t.underWay.Load(), Last: t.last,
	}
}
