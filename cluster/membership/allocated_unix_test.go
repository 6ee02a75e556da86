// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package membership

import (
	"io/fs"
	"syscall"
)

func allocated(info fs.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks * 512 }
