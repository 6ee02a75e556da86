// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package engine is the ordered key-value store under the state machine. It
// hides Pebble: nothing above it knows which store it is.
//
// # Durability
//
// There is no write-ahead log, because the raft log is one already. A
// committed [Batch] is in memory; it becomes durable when the engine flushes,
// by itself or on [DB.Flush]. A crash leaves an exact prefix of the committed
// batches, never a part of one. So whoever puts the index of the last applied
// log entry into every batch finds after a crash exactly the state that this
// index names. [DB.Durable] reads keys as a power cut now would leave them.
//
// # Failure
//
// After the first error of a write, flush, compaction or manifest the engine
// is failed for good: it calls Options.OnFatal once, every call returns that
// error, and nothing is written any more. Nothing is retried, because a second
// fsync may claim success for what the first one lost. Errors are *halt.Error
// values: Damaged when stored bytes are not what was written, with the file
// where it is known, Directory when the directory cannot be used, Hung when
// the disk does not answer, else Engine.
//
// A goroutine on which the store fails beyond repair is blocked for ever
// rather than let go on; callers get their error all the same. The process is
// expected to end. [DB.Close] of a failed engine leaves its files and
// goroutines as they are.
//
// # Concurrency
//
// All methods of DB are safe for concurrent use, but one Batch belongs to one
// goroutine, and so does one Iterator. Snapshots and iterators must be closed
// before the DB is.
package engine
