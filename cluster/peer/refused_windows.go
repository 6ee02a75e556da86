// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import "syscall"

// errRefused is WSAECONNREFUSED, the system's error of a dial where nobody
// listens.
const errRefused = syscall.Errno(10061)
