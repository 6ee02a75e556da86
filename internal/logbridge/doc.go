// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package logbridge lets libraries that log through hclog or the standard
// logger write to the process's one slog handler.
//
// Levels stay with the handler: a library's SetLevel does nothing. Records
// keep the library's call site as their source. Both bridges are safe for
// concurrent use and start no goroutine.
package logbridge
