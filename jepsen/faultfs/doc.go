// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package faultfs is a file system for one node that fails as disks fail: it
// forgets at a power failure what was not synced, all of it, none, or some
// sectors; it lets syncs fail, take long or never end; and it is full.
//
// Files lie in a directory behind the mount, as they would be if everything were
// synced at once. Beside them the [Disk] remembers in memory how to undo what was
// not: the old bytes of every write, and the entries of directories. A file is
// synced by fsync, its entry by an fsync of the directory, and by nothing else,
// which is all that POSIX promises.
//
// The idea is that of Pillai and others, "All File Systems Are Not Created Equal",
// OSDI 2014: a program is correct if it is on a file system that keeps no more
// than its promises.
package faultfs
