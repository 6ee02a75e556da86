// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import "context"

// stepper is the step's name on a floor.
const stepper = ""

// floor is held by one at a time, by name: the step, or a transaction, which keeps
// it from its yes to its decision.
type floor struct {
	free chan struct{} // holds one element while nobody has it
	by   chan string   // holds the name of who has it, while somebody has
}

func newFloor() *floor {
	f := &floor{free: make(chan struct{}, 1), by: make(chan string, 1)}
	f.free <- struct{}{}
	return f
}

// take waits until it is free, ctx or stop ends. Who has it already has it again.
func (f *floor) take(ctx context.Context, stop <-chan struct{}, name string) error {
	if name != stepper && f.has(name) {
		return nil
	}
	select {
	case <-f.free:
		f.by <- name
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-stop:
		return ErrStopping
	}
}

// has reports whether it is held by name.
func (f *floor) has(name string) bool {
	select {
	case by := <-f.by:
		f.by <- by
		return by == name
	default:
		return false
	}
}

// give gives it back, if name has it.
func (f *floor) give(name string) {
	if !f.has(name) {
		return
	}
	<-f.by
	f.free <- struct{}{}
}
