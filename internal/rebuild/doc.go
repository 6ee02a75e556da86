// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package rebuild bounds the memory in which a node rebuilds stored versions.
//
// A delta of a few bytes may make a state of 256 MiB, and two of them are held
// while one is rebuilt. The scrubber, a client's Verify and other nodes that
// inspect a version rebuild at the same time; what they rebuild goes through
// the node's one [Gate], which lets a single large state through at a time and
// all small ones at once.
package rebuild
