// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package consensus runs one replica of the replicated log. It is the only
// code that knows hashicorp/raft, and it holds what raft needs around it: a
// transport, a log, a store for term and vote, and the view of the state
// machine as raft's snapshot.
//
// # What it guarantees
//
//   - Nothing is acknowledged before it is on disk: every append ends in an
//     fsync, and a failed one is never repeated. After the first error or
//     hang of a store the replica takes no further part; see latch.
//   - Bytes read are the bytes written. Log entries carry a checksum from the
//     leader that made them to every disk they lie on; term and vote, the
//     list of log files and the end of the log have their own.
//   - An entry that the machine applied, that is committed, or that a
//     snapshot covers is never removed from the end of the log.
//   - Entries reach the machine once, in order, one call a delivered batch.
//
// # What it refuses
//
// A directory whose parts contradict each other (a log that ends before what
// the machine applied or begins after it, a lost file, a lower term) is
// quarantined: a file named [QuarantineFile] says why, and no later Open
// takes the directory. Such a node joins again as a new one.
//
// # Goroutines
//
// raft's own, started by NewRaft and joined by its shutdown; in transport.go
// the dispatcher and one per snapshot being received; in control.go the loop
// that reports leadership, restarts raft and takes snapshots; in watchdog and
// await short-lived ones that end with what they watch. Close joins all of
// ours and waits a bounded time for raft's.
//
// # Files
//
//	stable.db     term and vote (stablestore.go)
//	wal/          the log (logwal.go): NAME.wal, meta, mark
//	log.db, mark  the log where LogStore is "boltdb" (logbolt.go)
//	install/      a checkpoint being received, and the intent to swap it in
//	send/raft/    checkpoints being sent
//	quarantined   see above
package consensus
