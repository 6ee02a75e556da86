// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Command hawser runs, operates and inspects a Hawser cluster.
//
// Run "hawser help" for its commands and "hawser help COMMAND" for one of
// them, with examples. Exit codes: 0 ok, 1 error, 2 usage, 3 not found,
// 4 conflict or fenced, 5 unavailable, 6 outcome unknown; a server that
// stopped itself has one of its own (internal/halt).
//
// This package turns arguments into calls and results into text. It is the
// only one that exits, prints or reads the environment, and each command is
// in its own file.
package main
