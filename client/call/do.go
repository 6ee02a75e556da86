// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import "context"

// Option adjusts one call.
type Option func(o *options)

// options: twice is that it may happen so, alone that not at the same time, once that
// it cannot be tried again whatever its error says.
type options struct{ twice, alone, once bool }

// Idempotent says that the call may happen twice without harm: it is tried again
// though nobody knows whether it has happened, and may be hedged.
func Idempotent() Option { return func(o *options) { o.twice = true } }

// Do calls a target. F is called once or more, at most Config.Attempts times one
// after the other, each time with a context that ends with the attempt, and must
// return soon after its end: nothing else ends it. With Config.Hedge and [Idempotent]
// it may be called twice at once, the second time by a goroutine that can outlive Do;
// what the slower one returns is dropped. A panic of f is that of Do.
//
// An error is an *[Error]. It matches the caller's own end (context.Canceled,
// context.DeadlineExceeded and the context's cause) when that was the reason.
func Do[T any](ctx context.Context, p *Policy, name string, f func(ctx context.Context) (T, error), opts ...Option) (result T, err error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	got, err := p.do(ctx, name, o, func(ctx context.Context) (any, error) { return f(ctx) })
	result, _ = got.(T) // nil of an interface type is its zero value
	return result, err
}

func (p *Policy) do(ctx context.Context, name string, o options, f func(ctx context.Context) (any, error)) (any, error) {
	t := p.enter(name)
	if t == nil {
		return nil, &Error{Target: name, Reason: ErrFull}
	}
	defer t.underWay.Add(-1)
	w := &work{policy: p, target: t, opts: o, caller: ctx, f: f}
	switch {
	case ctx.Err() != nil: // the outcome says so
	case t.breaker.refuses():
		w.reason = ErrOpen
	default:
		p.budget.deposit()
		w.do() //nolint:contextcheck // it has the caller's
	}
	return w.outcome()
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
