// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package frame packs bytes as one plain zstd frame and unpacks only that.
//
// A plain frame declares its size, uses no dictionary, needs a window of at
// most [MaxWindow], and has nothing before or after it. The zstd library
// accepts more: several frames, frames to skip, windows of any size, no
// declared size. [Walker] and [Check] refuse all that by reading the headers
// alone, as bytes arrive or at once, so that whoever unpacks, whole or as a
// stream, comes to the same verdict.
//
// [Pack], [Unpack] and [UnpackTo] start no goroutine, keep nothing but pools
// and are safe for concurrent use. Errors are plain; callers say what the
// frame was for.
package frame
