// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

// target is one that is called. Its breakers count attempts, not calls.
type target struct {
	name string
	last time.Time // guarded by the policy's mu
	// inARow opens after so many failures in a row, byRate after a part of them.
	inARow, byRate circuitbreaker.CircuitBreaker[any]
	// once makes calls that must not happen twice, again those that may, and twice those
	// that may at the same time.
	once, again, twice failsafe.Executor[any]

	calls, failed, attempts, refused atomic.Uint64
}

func (p *Policy) newTarget(name string) *target {
	t := &target{name: name}
	t.inARow = p.breaker(t).WithFailureThreshold(p.cfg.Failures).WithSuccessThreshold(1).Build()
	t.byRate = p.breaker(t).WithFailureRateThreshold(p.cfg.Rate, p.cfg.RateOf, p.cfg.RatePeriod).WithSuccessThreshold(1).Build()
	inner := []failsafe.Policy[any]{bulkhead.NewBuilder[any](p.cfg.Concurrent).WithMaxWaitTime(p.cfg.MaxWait).Build()}
	if p.cfg.PerSecond > 0 {
		inner = append(inner, ratelimiter.NewSmoothBuilder[any](p.cfg.PerSecond, time.Second).WithMaxWaitTime(p.cfg.MaxWait).Build())
	}
	inner = append(inner, timeout.New[any](p.cfg.Timeout))
	// From the outside in: a repetition asks the breakers again, and each attempt
	// counts for them.
	with := func(outer ...failsafe.Policy[any]) failsafe.Executor[any] {
		return failsafe.With(append(outer, inner...)...)
	}
	t.once, t.again = with(p.retry(false), t.inARow, t.byRate), with(p.retry(true), t.inARow, t.byRate)
	if t.twice = t.again; p.cfg.Hedge > 0 {
		hedge := hedgepolicy.NewBuilderWithDelay[any](p.cfg.Hedge).CancelIf(func(_ any, err error) bool { return err == nil })
		t.twice = with(p.retry(true), t.inARow, t.byRate, hedge.Build())
	}
	return t
}

func (p *Policy) retry(unknownToo bool) failsafe.Policy[any] {
	return retrypolicy.NewBuilder[any]().HandleIf(func(_ any, err error) bool { return p.worthIt(err, unknownToo) }).
		AbortIf(func(_ any, err error) bool { return p.worthIt(err, unknownToo) && p.budget.spent() }).
		WithMaxAttempts(p.cfg.Attempts).WithDelayFunc(p.delay).ReturnLastFailure().Build()
}

// worthIt reports whether another attempt may do after an error.
func (p *Policy) worthIt(err error, unknownToo bool) bool {
	if err == nil || ofCaller(err) || refusal(err) != nil {
		return false
	}
	class := p.classOf(err)
	return class == ClassTransient || class == ClassUnknown && unknownToo
}

// delay is the pause before the next attempt.
func (p *Policy) delay(exec failsafe.ExecutionAttempt[any]) time.Duration {
	err := exec.LastError()
	d := float64(p.cfg.Delay) * math.Pow(p.cfg.Factor, float64(exec.Attempts()-1))
	if p.classOf(err) == ClassTransient {
		d *= 0.75 + rand.Float64()/2 //nolint:gosec // a jitter, not a secret
	}
	return min(max(time.Duration(min(d, float64(p.cfg.MaxDelay))), askedDelay(err)), p.cfg.MaxDelay)
}

// breaker makes one that counts what says that the target is not well.
func (p *Policy) breaker(t *target) circuitbreaker.Builder[any] {
	return circuitbreaker.NewBuilder[any]().WithDelay(p.cfg.OpenFor).
		HandleIf(func(_ any, err error) bool {
			return err != nil && !ofCaller(err) && refusal(err) == nil && p.classOf(err) != ClassPermanent
		}).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) { p.changed(t, e) })
}

func (p *Policy) changed(t *target, e circuitbreaker.StateChangedEvent) {
	now := time.Now()
	if e.NewState == circuitbreaker.OpenState && p.cfg.Shared != nil {
		p.cfg.Shared.Opened(t.name, now.Add(p.cfg.OpenFor))
	}
	if p.cfg.OnChange != nil {
		p.cfg.OnChange(Change{Target: t.name, From: stateOf(e.OldState), To: stateOf(e.NewState), At: now})
	}
}

func stateOf(s circuitbreaker.State) State {
	switch s {
	case circuitbreaker.OpenState:
		return Open
	case circuitbreaker.HalfOpenState:
		return HalfOpen
	case circuitbreaker.ClosedState:
	}
	return Closed
}

// state is the worse of its breakers'.
func (t *target) state() State {
	a, b := stateOf(t.inARow.State()), stateOf(t.byRate.State())
	switch {
	case a == Open || b == Open:
		return Open
	case a == HalfOpen || b == HalfOpen:
		return HalfOpen
	}
	return Closed
}
