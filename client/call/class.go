// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"fmt"
	"time"
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

// Class returns the class of an error of a call: as it is marked, unknown if time has run
// out, else what Config.Classify says.
func (p *Policy) Class(err error) Class {
	if c, ok := errors.AsType[*classed](err); ok {
		return c.class
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
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
