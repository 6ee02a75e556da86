// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"os"

	"golang.org/x/sys/unix"
)

// preallocate gives f size bytes of disk space without writing them.
func preallocate(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }
