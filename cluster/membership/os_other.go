// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows && (!unix || aix || solaris)

package membership

import (
	"errors"
	"os"
)

var errPlatform = errors.New("hawser's server does not run on this operating system: it cannot lock a data directory")

func lockFile(*os.File) error { return errPlatform }

// FreeSpace is not known on this operating system: it returns an error.
func FreeSpace(string) (free, total uint64, err error) { return 0, 0, errPlatform }
