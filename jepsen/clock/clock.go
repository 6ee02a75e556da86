// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package clock sets the wall clock of one process, and of no other.
//
// A program asks for the time through a function that the kernel maps into its
// memory, the vDSO (see vdso(7)). [Take] writes another one in its place, which
// asks the kernel and adds an offset to the wall clock; the monotonic clock stays
// as it is. It needs the right to write to the process's memory.
package clock
