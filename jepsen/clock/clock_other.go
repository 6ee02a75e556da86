// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !amd64

package clock

import (
	"errors"
	"time"
)

// Clock is the wall clock of a process; see the version for Linux on amd64.
type Clock struct{}

// Take fails: it is written for Linux on amd64.
func Take(int) (*Clock, error) {
	return nil, errors.New("the clock of one process is set on Linux on amd64 only")
}

// Set does nothing.
func (*Clock) Set(time.Duration) error { return nil }
