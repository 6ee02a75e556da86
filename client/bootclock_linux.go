// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootNow is a clock that nobody sets and that goes on while the machine
// sleeps.
func bootNow() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return monotonicNow()
	}
	return time.Duration(t.Nano())
}
