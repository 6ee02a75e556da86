// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package scrub finds stored versions that are not what was saved.
//
// The machine takes a delta without applying it, and a disk may return other
// bytes than were written. So every node rebuilds, within a minute and at a
// bounded rate, each new head, and in the course of about a day each version
// that is there, and compares the SHA-256. What fails is compared with what the
// voters have:
//
//   - A voter has it and it verifies: this node's bytes were altered. It
//     fetches what differs and puts it in place. Where that does not help, the
//     node stops, as one whose data are damaged.
//   - A majority has the same bytes and none of them verifies: they are what
//     was saved, and the saver said another hash. The leader, who looks for
//     itself, proposes that the version is bad; then it is never served, and
//     nothing is saved on top of it. The rollbacks and forks that repeat it are
//     looked into next.
//   - Otherwise it is too early to tell: a node is behind, or does not answer.
//     The question is asked again.
//
// A [Scrubber] owns two goroutines, ended and joined by Close: one verifies, the
// other looks into what does not, so that a node that does not answer keeps no
// head from being verified. What is applied is
// noted on raft's goroutine, which never waits.
package scrub
