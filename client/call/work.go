// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// again is what a round tells the library's retry policy: the pause before the next
// one. The work keeps what really happened.
type again time.Duration

// Error implements error.
func (a again) Error() string { return fmt.Sprintf("again after %v", time.Duration(a)) }

// errOther is what an attempt tells the library's hedge policy: another attempt of the
// round is under way, and decides.
var errOther = errors.New("another attempt is under way")

func newRetries() failsafe.Policy[any] {
	return retrypolicy.NewBuilder[any]().HandleErrorTypes(again(0)).WithMaxRetries(-1).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[any]) time.Duration {
			pause, _ := errors.AsType[again](e.LastError())
			return time.Duration(pause)
		}).ReturnLastFailure().Build()
}

func newHedge(after time.Duration) failsafe.Policy[any] {
	return hedgepolicy.NewBuilderWithDelay[any](after).CancelIf(func(_ any, err error) bool { return err == nil }).Build()
}

// work is one call. It is made in rounds: one attempt each, with its hedge.
type work struct {
	policy *Policy
	target *target
	opts   options
	caller context.Context //nolint:containedctx // whose end is no failure of the target
	f      func(ctx context.Context) (any, error)

	mu       sync.Mutex // guards what follows: hedged attempts run beside each other
	attempts int        // that were made
	result   any        // of the first attempt that succeeded
	success  bool
	last     error // of the last attempt that failed
	reason   error // to give up
	panicked error // what f has panicked with, in a goroutine of the hedge policy
	// Of this round:
	rounds  int   // it is the how many-th
	running int   // attempts that have not ended
	failure error // of the last attempt that failed, nil for none
	refused error // why an attempt was not made, nil if none was refused
}

// do makes the call. The library's part begins with the first repetition.
func (w *work) do() {
	next := w.round()
	if next == nil {
		return
	}
	_ = failsafe.With(w.policy.retries).WithContext(w.caller).Run(func() error {
		if err := next; err != nil {
			next = nil
			return err
		}
		return w.round()
	})
}

// round makes an attempt and its hedge. An error is an again.
func (w *work) round() error {
	w.mu.Lock()
	w.rounds++
	w.failure, w.refused = nil, nil
	w.mu.Unlock()
	if w.policy.hedge == nil || !w.opts.twice || w.opts.alone {
		_ = w.try(w.caller, false)
		return w.next()
	}
	_ = failsafe.With(w.policy.hedge).WithContext(w.caller).RunWithExecution(func(exec failsafe.Execution[any]) error {
		defer w.catch()
		return w.try(exec.Context(), exec.IsHedge())
	})
	return w.next()
}

// catch keeps a panic for the caller: in a goroutine it would end the process.
func (w *work) catch() {
	v := recover()
	if v == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err, ok := v.(error); ok {
		w.panicked = fmt.Errorf("%w\n\n%s", err, debug.Stack())
	} else {
		w.panicked = fmt.Errorf("%v\n\n%s", v, debug.Stack())
	}
}

// try makes an attempt, if it may be made. It returns errOther while another one may
// succeed.
func (w *work) try(ctx context.Context, hedge bool) (err error) {
	w.mu.Lock()
	w.running++
	w.mu.Unlock()
	refused := w.ask(ctx, hedge)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if refused != nil {
		w.refused = refused
	}
	if w.running > 0 && !w.success && w.panicked == nil {
		return errOther
	}
	return nil
}

// ask makes an attempt if the target's bounds and the budget allow it, and returns why
// not. What becomes of it is in w.
func (w *work) ask(ctx context.Context, hedge bool) (refused error) {
	t, maxWait := w.target, w.policy.cfg.MaxWait
	t.busy.Add(1)
	defer t.busy.Add(-1)
	if err := t.slots.AcquirePermitWithMaxWait(ctx, maxWait); err != nil {
		return refusal(err)
	}
	defer t.slots.ReleasePermit()
	if t.rate != nil {
		if err := t.rate.AcquirePermitWithMaxWait(ctx, maxWait); err != nil {
			return refusal(err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if hedge && !w.policy.budget.take() {
		return ErrBudget
	}
	era, ok := t.breaker.enter()
	if !ok {
		return ErrOpen
	}
	v := undecided // as is a panic
	defer func() { t.breaker.leave(era, v) }()
	v = w.attempt(ctx)
	return nil
}

// refusal is the reason for which an attempt was not made.
func refusal(err error) error {
	switch {
	case errors.Is(err, bulkhead.ErrFull):
		return ErrFull
	case errors.Is(err, ratelimiter.ErrExceeded):
		return ErrRate
	}
	return err
}

// attempt calls f. Ctx ends with the caller's, or when another attempt was faster.
func (w *work) attempt(ctx context.Context) verdict {
	w.mu.Lock()
	w.attempts++
	repeated := w.attempts > 1
	w.mu.Unlock()
	w.target.attempts.Add(1)
	if repeated {
		w.target.repeats.Add(1)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, w.policy.cfg.Timeout, ErrTimeout)
	defer cancel()
	result, err := w.f(bounded)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		if !w.success {
			w.result, w.success = result, true
		}
		return well
	case w.caller.Err() != nil:
		if !errors.Is(w.ended(), err) { // else it says no more than that
			w.last = err
		}
		return undecided
	case ctx.Err() != nil:
		return undecided
	case bounded.Err() != nil:
		err = overtime(err)
	}
	w.last, w.failure = err, err
	if w.policy.Class(err) == ClassPermanent {
		return well
	}
	return ill
}

// overtime is the error of an attempt that took too long.
func overtime(err error) error {
	if err.Error() == context.DeadlineExceeded.Error() || errors.Is(err, ErrTimeout) {
		return ErrTimeout // it says no more than that
	}
	return fmt.Errorf("%w: %w", ErrTimeout, err)
}

// next decides after a round whether there is another one: an again, or nil and why
// not.
func (w *work) next() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.failure
	switch {
	case w.success || w.panicked != nil || w.caller.Err() != nil:
	case err == nil:
		w.reason = w.refused
	case w.rounds >= w.policy.cfg.Attempts || !w.worthIt(err):
	case w.target.breaker.refuses():
		w.reason = ErrOpen
	case !w.policy.budget.take():
		w.reason = ErrBudget
	default:
		return again(w.policy.pause(w.rounds, err))
	}
	return nil
}

// worthIt reports whether another attempt may do after an error.
func (w *work) worthIt(err error) bool {
	if w.opts.once {
		return false
	}
	class := w.policy.Class(err)
	return class == ClassTransient || class == ClassUnknown && w.opts.twice
}

// pause is the one after so many rounds, of which the last has failed so.
func (p *Policy) pause(rounds int, err error) time.Duration {
	d := float64(p.cfg.Delay) * math.Pow(p.cfg.Factor, float64(rounds-1))
	if p.Class(err) == ClassTransient {
		d *= 0.75 + rand.Float64()/2 //nolint:gosec // a jitter, not a secret
	}
	return min(max(time.Duration(min(d, float64(p.cfg.MaxDelay))), askedDelay(err)), p.cfg.MaxDelay)
}

// outcome is what the call has come to. An answer counts, also one that came when the
// caller's context ended.
func (w *work) outcome() (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panicked != nil {
		panic(w.panicked)
	}
	if w.success {
		return w.result, nil
	}
	e := &Error{Target: w.target.name, Attempts: w.attempts, Reason: w.reason, Err: w.last}
	if end := w.ended(); end != nil {
		e.Reason = end
	}
	w.target.failed.Add(1)
	if w.attempts == 0 {
		w.target.refused.Add(1)
	}
	if errors.Is(e.Reason, ErrBudget) {
		w.target.overBudget.Add(1)
	}
	return nil, e
}

// ended returns how the caller has ended, and why if somebody has said so; nil when it
// has not.
func (w *work) ended() error {
	err, cause := w.caller.Err(), context.Cause(w.caller)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
