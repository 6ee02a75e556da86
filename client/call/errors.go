// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"fmt"
)

// Reasons for which a call is not made, or not again.
var (
	// ErrOpen: the target has failed too often, and is left alone for a while.
	ErrOpen = errors.New("the circuit breaker is open")
	// ErrFull: too many calls of the target, or of all targets, are under way.
	ErrFull = errors.New("too many calls are under way")
	// ErrRate: there were too many calls of the target of late.
	ErrRate = errors.New("the rate limit is reached")
	// ErrBudget: too many of the calls of late are repetitions.
	ErrBudget = errors.New("the retry budget is used up")
)

// ErrTimeout is the error of an attempt that took longer than Config.Timeout.
var ErrTimeout = errors.New("the attempt took too long")

// Error is a call that has failed. It matches why it was given up (ErrOpen, ErrFull,
// ErrRate, ErrBudget, or the end of the caller's context), if the last attempt's own
// error is not all there is to say, and that error.
type Error struct {
	Target string
	// Attempts were made, hedges included; 0 when the call was refused here.
	Attempts int
	// Reason is one of the above, nil when the last attempt decides: its error is
	// permanent, or may not be followed by another attempt, or it was the last that
	// Config.Attempts allows.
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

// Timeout reports whether time has run out, the attempt's or the caller's; net/http
// asks for it.
func (e *Error) Timeout() bool {
	return errors.Is(e, ErrTimeout) || errors.Is(e, context.DeadlineExceeded)
}
