// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package catchup brings a node that is new or far behind up to date: it
// fetches a checkpoint of another member's engine, after which raft goes on
// with the log. The fetch can be resumed within a file, after a restart of
// either side, and is held to a rate.
//
// # The side that has the state
//
// A [Source] makes checkpoints (hard links) on request, at most two at a time,
// and lists their files with sizes and SHA-256 ([Manifest]). Those who fetch at
// about the same time share one. It is removed some minutes after the last
// read, and when the node starts. Hashing and sending are held to a rate for
// the whole node, so that saves are not starved.
//
// # The side that fetches
//
// A [CatchUp] is asked by consensus when the leader's log does not reach back
// far enough and the leader wants to send its state. It refuses that and
// fetches instead, while raft runs on and votes. It asks the members how far
// their logs reach and to keep them; takes the checkpoint of one that does not
// lead if it can; and when all files are there and verified, has the machine
// swapped by consensus.Adopt, with raft stopped for that moment only. Then it
// tells the leader, at its next attempt, that it needs no state, so that the
// leader goes on from the checkpoint's index.
//
// In the directory of a fetch:
//
//	manifest     what is being fetched, from whom; written first, durably
//	files/NAME   the files, complete or the beginning of one
//
// Nothing there is trusted: a file counts once its bytes, read again after a
// restart, have the manifest's SHA-256. If the source has lost the checkpoint,
// a new one is begun, and every file that it shares with the old one (same
// name, size and SHA-256: tables never change) is kept.
//
// Invariant: nothing outside the directory changes before every file is
// complete, durable and verified, and the engine has opened them and found the
// manifest's index.
//
// # It ends
//
// An attempt that brings nothing new counts; after six in a row, or when a
// checkpoint was taken over twice and the leader's log still did not reach back
// to it, the node lets the leader send its state by raft for a while. Who
// founds a cluster never fetches: nobody's log begins after the first entry.
//
// # Trust
//
// What a source sends is checked: names that the engine gives its files,
// sizes that add up and fit on the disk, not a byte more than declared.
// It has proved that it knows the cluster secret, but a defect of it must not
// write outside the directory.
//
// # Goroutines
//
// A Source owns one that removes what expired and one for each checkpoint being
// prepared; a CatchUp one that fetches, and below it one that asks for the log
// to be kept. Close joins them.
package catchup
