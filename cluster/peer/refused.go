// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package peer

import "syscall"

// errRefused is the system's error of a dial where nobody listens.
const errRefused = syscall.ECONNREFUSED
