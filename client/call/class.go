// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/timeout"
)

// Class says what may be done after an error.
type Class uint8

// The classes.
const (
	// ClassUnknown: it may have happened.
	ClassUnknown Class = iota
	// ClassTransient: it has not happened, and may succeed later.
	ClassTransient
	// ClassPermanent: it has not happened, and will not. The target is well.
	ClassPermanent
)

// String returns the class in words.
func (c Class) String() string {
	switch c {
	case ClassUnknown:
		return "unknown"
	case ClassTransient:
		return "transient"
	case ClassPermanent:
		return "permanent"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// classed is an error that was given a class.
type classed struct {
	error

	class Class
	// after is when the target asks to be called again, 0 for nothing said.
	after time.Duration
}

// Unwrap returns the cause.
func (c *classed) Unwrap() error { return c.error }

func mark(err error, class Class) error {
	if err == nil {
		return nil
	}
	return &classed{error: err, class: class}
}

// Permanent marks an error of what has not happened, and will not. Nil stays nil, as
// with the other marks.
func Permanent(err error) error { return mark(err, ClassPermanent) }

// Transient marks an error of what has not happened, and may succeed later.
func Transient(err error) error { return mark(err, ClassTransient) }

// Unknown marks an error of what may have happened.
func Unknown(err error) error { return mark(err, ClassUnknown) }

// TransientAfter is Transient of an error that came with the time after which to
// call again. That is kept to, up to Config.MaxDelay.
func TransientAfter(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &classed{error: err, class: ClassTransient, after: after}
}

// callerError is the end of the caller's own context: it says nothing of the target.
type callerError struct{ error }

// Unwrap returns the cause.
func (c callerError) Unwrap() error { return c.error }

func ofCaller(err error) bool {
	_, ok := errors.AsType[callerError](err)
	return ok
}

// classOf returns the class of an error.
func (p *Policy) classOf(err error) Class {
	if c, ok := errors.AsType[*classed](err); ok {
		return c.class
	}
	if errors.Is(err, timeout.ErrExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return ClassUnknown
	}
	if p.cfg.Classify != nil {
		return p.cfg.Classify(err)
	}
	return ClassUnknown
}

// askedDelay is what the target has asked for.
func askedDelay(err error) time.Duration {
	if c, ok := errors.AsType[*classed](err); ok {
		return c.after
	}
	return 0
}

// Reasons for which a call is not made, or not again.
var (
	// ErrOpen: the target has failed too often, and is left alone for a while.
	ErrOpen = errors.New("the circuit breaker is open")
	// ErrFull: too many calls of the target are under way.
	ErrFull = errors.New("too many calls are under way")
	// ErrRate: there were too many calls of the target of late.
	ErrRate = errors.New("the rate limit is reached")
	// ErrBudget: too many of the calls under way are repetitions.
	ErrBudget = errors.New("the retry budget is used up")
)

// Error is a call that has failed. It matches why it was given up (ErrOpen, ErrFull,
// ErrRate, ErrBudget), if that is not the last attempt's own error, and that error.
type Error struct {
	Target string
	// Attempts were made; 0 when the call was refused here.
	Attempts int
	// Reason is one of the above, nil when the last attempt decides.
	Reason error
	// Err is that of the last attempt, nil when there was none.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("call %q", e.Target)
	if e.Attempts > 0 {
		s += fmt.Sprintf(", attempt %d", e.Attempts)
	}
	if e.Reason != nil {
		s += ": " + e.Reason.Error()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the reason and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Reason, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
