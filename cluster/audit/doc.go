// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package audit finds replicas that differ, and stops them.
//
// Replicas apply the same entries, so they must come to the same state. A
// defect of the program or of a library, memory that changes by itself, and
// two versions that do not agree on what a command does can make one come to
// another, and nothing else would notice: it would answer, vote and lead. The
// machine therefore carries a hash of all that it has done ([fsm.Mark]). The
// leader says in the log, once a second while there are writes, which hash it
// had at its last audit, and every replica compares that with its own.
//
// Whoever finds a difference refuses writes and asks every voter for its hash
// at that entry; who is asked and has another one does the same. Then each
// knows:
//
//   - A majority has its hash: it goes on.
//   - A majority has another one: it stops, leader or not, with a reason and an
//     exit code of its own, and its directory is closed for good. Where in the
//     past it went astray is unknown, so that nothing it has can be trusted.
//   - No majority agrees, or not enough answer: writes stay refused, and the
//     question is asked again. An operator decides which state counts.
//
// The same is done in CockroachDB's consistency checker and TigerBeetle's
// state checker; hashicorp/raft#695 is a defect that it finds.
//
// An [Auditor] owns two goroutines, ended and joined by Close. What is applied
// is noted on raft's goroutine, which never waits.
package audit
