// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package read finds the point of the log that a linearizable read must wait
// for.
//
// A read is linearizable if it sees every write that was acknowledged before
// the read began. On the leader an [Indexer] finds out in rounds. A round
//
//  1. closes its list of callers,
//  2. checks that the node is in its ready term: the term whose first command
//     the own machine has applied, so that the commit index covers everything
//     that was ever acknowledged before,
//  3. notes the commit index,
//  4. asks all voters of the latest configuration, itself included, in which
//     term they are, and demands that a majority answers exactly the ready
//     term to a question asked after 3.
//
// A voter raises its term durably before it votes for a newer leader, and the
// majority that elected it shares a voter with the majority of step 4; so no
// newer leader had committed anything when the callers arrived. Answers to
// questions asked earlier prove nothing and never count, which is the hole in
// raft's own VerifyLeader. Clocks play no part.
//
// One round serves all who waited when it began; who arrives later waits for
// the next. On other nodes the Indexer asks the leader, with the same rule:
// one request serves all who waited when it was sent. The caller then waits
// for its own machine; a node's own commit index is never used there.
//
// While the node leads, a round runs every second even without readers: the
// answers carry the voters' wall clocks and free disk space.
//
// An Indexer owns one goroutine for rounds, one for questions to the leader,
// and at most one for each voter that has yet to answer.
// Close ends and joins them all.
package read
