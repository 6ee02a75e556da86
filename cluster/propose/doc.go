// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package propose carries commands to the raft log and their results back to
// those who wait for them.
//
// A [Proposer] gathers the commands that wait together into one log entry, a
// batch, stamps it with machine time (see [Clock]) and hands it to raft. A few
// batches are under way at a time; while they are, the next one grows by
// itself. A waiter gets its result when the own machine has applied the batch,
// found by the batch's id. Nobody waits for raft's futures: some are never
// answered.
//
// # Lanes
//
// Parts of something large go by a lane of their own, one to an entry, and
// wait for a place in it instead of being refused. Other commands are always
// taken first and have places under way of their own; while any of them waits
// for one of these, at most one part is handed over, and otherwise at most
// MaxInFlight. So a command finds few entries of 128 KiB before its own that
// would not be there without the parts, and parts still go on whatever else is
// saved.
//
// # What a caller learns
//
// A command is in one of three places, and leaves each under Proposer.mu, so
// that exactly one party ends it:
//
//   - a queue. It has not been executed and, once taken out, never will be:
//     CodeNotLeader, CodeUnavailable, CodeDeadline, CodeCanceled.
//   - a registered batch, under an id that no other batch ever has. Whoever
//     takes the batch out ends it: OnApplied with results; loss of leadership,
//     a new term, Close or the bound on waiting with CodeOutcomeUnknown; and
//     the loop, if raft refused to take the entry, with CodeNotLeader or
//     CodeUnavailable. Only a refusal is proof that it was not executed.
//   - a caller that has left. The batch's end is told to nobody.
//
// # Races with leadership and application
//
// The loop takes commands from a queue, checks that raft leads in the ready
// term and registers the batch in one critical section, and hands the entry to
// raft after it, since that may block.
//
//   - Applied before Propose returns: the batch is registered by then.
//   - Leadership lost after registration: OnLeadership ends the batch as
//     unknown, though it may not have been handed over; the loop then finds it
//     gone and drops it. Between this look and Propose it can slip into the
//     log, even into that of a later term of this node; it was reported
//     unknown, which stays true.
//   - Leadership lost and regained before anybody told us: the entry lands in
//     the later term, and its results are true results. Its stamp is older
//     than that term's start, and the machine never lets time go back. Commands
//     that depend on the leader's memory name the LeaderStart they rely on.
//   - Applied after step-down, or twice: the id is no longer registered.
//   - Propose refuses a batch that has already been ended as unknown: the loop
//     finds it gone and tells nobody; unknown stays true.
//   - Submit against step-down: it enters a queue in the critical section in
//     which it sees the ready term, and OnLeadership empties the queues in the
//     one in which it clears the term. No command stays behind in the queues of
//     a node that does not lead.
//   - The ready term is set in OnApplied, under the same mutex, only for the
//     LeaderStart that this process proposed for the term it leads in by the
//     last OnLeadership, and only while raft agrees. If raft lost that term and
//     has not told yet, the ready term is wrong for a moment: raft then refuses
//     entries, and a read compares it with raft's term and asks a majority.
//
// A command's buffer is copied into the entry outside the mutex, while others
// may end the batch. So a buffer is used again only after a result from the
// machine, which implies that the copy was made.
//
// # Goroutines
//
// One loop, ended and joined by Close. OnApplied and OnLeadership run on raft's
// goroutines and never block.
package propose
