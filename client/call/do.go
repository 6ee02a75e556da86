// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
)

// Option adjusts one call.
type Option func(o *options)

type options struct{ idempotent, alone bool }

// Idempotent says that the call may happen twice without harm: it is tried again
// though nobody knows whether it has happened, and may be hedged.
func Idempotent() Option { return func(o *options) { o.idempotent = true } }

// withoutHedge is Idempotent for what must not run beside itself.
func withoutHedge() Option { return func(o *options) { o.idempotent, o.alone = true, true } }

// Do calls a target. F is called once or more, at most Config.Attempts times one
// after the other, with a context that ends with the attempt; after a hedge by two
// goroutines at once. An error is an *[Error], but for that of the caller's own
// context.
func Do[T any](ctx context.Context, p *Policy, name string, f func(ctx context.Context) (T, error), opts ...Option) (result T, err error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	t := p.target(name)
	t.calls.Add(1)
	p.budget.deposit()
	if p.cfg.Shared != nil && time.Now().Before(p.cfg.Shared.OpenUntil(name)) {
		t.refused.Add(1)
		t.failed.Add(1)
		return result, &Error{Target: name, Reason: ErrOpen}
	}
	executor := t.once
	switch {
	case o.alone:
		executor = t.again
	case o.idempotent:
		executor = t.twice
	}
	w := &work[T]{policy: p, target: t, twice: o.idempotent, caller: ctx, f: f}
	got, err := executor.WithContext(ctx).GetWithExecution(w.attempt)
	if err == nil {
		result, _ = got.(T) // nil of an interface type is its zero value
		return result, nil
	}
	t.failed.Add(1)
	return result, w.explain(err)
}

// DoOr is Do with a fallback, which is called with the error of a call that has
// failed, if it is not the caller's context that has ended, and decides instead.
func DoOr[T any](
	ctx context.Context, p *Policy, name string, f func(ctx context.Context) (T, error), fallback func(ctx context.Context, err error) (T, error), opts ...Option,
) (T, error) {
	result, err := Do(ctx, p, name, f, opts...)
	if err == nil || ctx.Err() != nil {
		return result, err
	}
	return fallback(ctx, err)
}

// work is one call.
type work[T any] struct {
	policy *Policy
	target *target
	twice  bool            // it may happen so
	caller context.Context //nolint:containedctx // whose end is no failure of the target
	f      func(ctx context.Context) (T, error)

	mu       sync.Mutex
	attempts int
	last     error // of an attempt
}

func (w *work[T]) attempt(exec failsafe.Execution[any]) (any, error) {
	if (exec.IsRetry() || exec.IsHedge()) && !w.policy.budget.take() {
		return nil, ErrBudget
	}
	w.target.attempts.Add(1)
	w.mu.Lock()
	w.attempts++
	w.mu.Unlock()
	result, err := w.f(exec.Context())
	if err == nil {
		return result, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = err
	if w.caller.Err() != nil {
		return nil, callerError{err}
	}
	return nil, err
}

// refusal returns the reason for which an attempt was not made, nil if it was.
func refusal(err error) error {
	switch {
	case errors.Is(err, circuitbreaker.ErrOpen):
		return ErrOpen
	case errors.Is(err, bulkhead.ErrFull):
		return ErrFull
	case errors.Is(err, ratelimiter.ErrExceeded):
		return ErrRate
	case errors.Is(err, ErrBudget):
		return ErrBudget
	}
	return nil
}

// explain makes the caller's error of the library's.
func (w *work[T]) explain(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cause := context.Cause(w.caller); cause != nil {
		return cause
	}
	reason, last := refusal(err), w.last
	if reason == nil {
		last = err
		if w.attempts < w.policy.cfg.Attempts && w.policy.worthIt(err, w.twice) {
			reason = ErrBudget
		}
	}
	if w.attempts == 0 {
		w.target.refused.Add(1)
	}
	return &Error{Target: w.target.name, Attempts: w.attempts, Reason: reason, Err: last}
}
