// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package procs runs Hawser nodes as child processes on loopback, for
// "hawser dev", "hawser demo" and the tests that need real processes.
//
// A [Process] is one child. It holds the writing end of the child's stdin, so
// that a child started with --stop-with-stdin ends gracefully when its parent
// asks ([Process.Stop]) and also when its parent dies in any way. Children
// run in their own process group: an interrupt typed at the terminal reaches
// the parent only, which then decides in which order they end.
//
// A [Cluster] is a few of them with addresses, data directories and log files
// laid out by [Plan]. It restarts nothing by itself.
//
// A [Network], on Linux, gives each node a network namespace of its own, so
// that it can be cut off.
//
// Each Process owns one goroutine, which waits for the child and ends with it.
package procs
