// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package membership

import "io/fs"

func allocated(info fs.FileInfo) int64 { return info.Size() }
