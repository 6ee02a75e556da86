// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package snapshot reads and writes archives: files that hold whole histories
// of agents, out of a cluster and apart from it. FORMAT.md describes the bytes.
//
// What an archive holds is a sequence of items ([Item]), made by the cluster
// and taken by it again. A [Writer] puts them into frames with a checksum each
// and ends the file with a table of the agents, a summary and a SHA-256 over
// everything. An [Archive] reads such a file at random: what is asked of the
// table costs a few reads whatever the size of the file; an agent's items are
// read and unpacked when they are asked for.
//
// Reading trusts nothing. Every length is checked before memory is taken for
// it, tables cannot overlap or leave a gap, numbers that point elsewhere are
// followed at most as often as a chain is long, and no version is handed out
// whose bytes do not have its SHA-256. Errors name the offset in the file and
// match hawser.ErrCorrupt. [Archive.Verify] checks all there is to check.
//
// Memory: a writer keeps the packed table (some 30 bytes an agent). A reader
// keeps one index entry for each block of the table (about 1,000 agents) and,
// while it is at an agent, 8 bytes for each content of it, one frame of 1 MiB,
// and two states.
//
// The package starts no goroutine. An Archive is safe for concurrent use, a
// Writer is not.
package snapshot
