// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package fsm is the replicated state machine: agents, their chains of
// versions, and what the cluster knows about itself.
//
// # Determinism
//
// [Machine.Apply] is a function of the state and the log entries. It reads no
// clock, no randomness and nothing of the machine it runs on; time is the
// stamp in each batch, and moves forward only. Replicas that applied the same
// entries have the same [Machine.Digest], however the entries were grouped,
// whatever restarts, crashes and swaps lay between. So a refusal is a
// [Result], the same everywhere, and never an error; an error stops the
// replica, because one that guesses diverges.
//
// # Durability
//
// All that one call of Apply does is one batch of the engine, with the index
// of the last entry in it. It is in memory until the engine flushes: a crash
// leaves the state of some earlier index, exactly, and the log must still hold
// the entries after it. [Machine.Durable] names that index, [Machine.Flush]
// moves it. The state itself is the raft snapshot; [Machine.Checkpoint] copies
// it by hard links, [Machine.Swap] puts such a copy in its place.
//
// # Segments
//
// A version refers to a place: a position of a segment. A segment holds
// contents at consecutive positions, each the difference to the one before; the
// first is a keyframe or, when the segment has a parent, the difference to the
// parent. The record of a segment counts, for each position, the versions there
// (of any agent: forks and rollbacks only refer) and the segments that start
// from it. What nobody refers to goes from the tip down, in the batch that took
// the last reference; an empty segment goes too, and with it its reference to
// the parent. What lies before the oldest place in use cannot go by itself,
// because what comes after is rebuilt from it. The leader builds a keyframe
// then, and [Replace] puts it there: places, and so the records of versions,
// stay what they are. The stamp of a segment says whether anything in it went
// or was replaced since it was read.
//
// Nothing is packed, unpacked or rebuilt in Apply. A content that is too long
// for one log entry is staged by [Part] and taken over by the command that
// refers to it; its bytes are never moved.
//
// # Transactions
//
// What a vote, a decision or a deadline makes of a transaction is package txn's;
// this one keeps the queues of the agents, their locks and what votes have
// staged. A vote stores its state as a save does, with a reference to the content
// and no version: only the record of the staged vote leads there, and no view
// follows it. The commit turns all of them into versions in one revision; an
// abort takes the references back. Whatever names an undecided transaction first
// compares the time of its entry with the deadline, so that [SweepTxns] is a
// nudge. An archive holds nothing of transactions but the versions that they made,
// as saves.
//
// # Effects
//
// What an agent did to the world outside stands in a journal, which is never
// rolled back; the agent's record names it. An agent that was forked has one that
// names the journal of its source and a position in it, and reads what is before
// that there too, as it is now. A journal counts who reads it and goes with the
// last. A version reflects the end of an effect if it was saved after it on a line
// of versions that no rollback has left.
//
// # Archives
//
// [View.Export] yields a moment of the state as the items of an archive;
// [ImportStart], [ImportItems] and [ImportEnd] fill an empty machine with them.
// An item that does not fit to those before it is refused, and ends the import.
// In between all other commands, and reads of agents, are refused with
// hawser.ErrUnavailable.
//
// # Levels
//
// Each command carries the feature level that introduced it. A command of an
// unknown kind, or of a level above the machine's, stops the replica with
// halt.Level; it is never skipped. Before the first release the formats of the
// log and of the state changed in place: what an earlier development build made
// is refused with halt.Level too.
//
// # Concurrency
//
// Apply and Swap are called by one goroutine at a time; everything else by
// any. A [View] is a moment of the state and stays what it is, also over a
// Swap. The machine starts no goroutine of its own; the engine's end with
// [Machine.Close].
package fsm
