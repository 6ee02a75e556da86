// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package membership

import (
	"errors"
	"os"
)

// preallocate is not known here: the caller writes the bytes instead.
func preallocate(*os.File, int64) error { return errors.ErrUnsupported }
