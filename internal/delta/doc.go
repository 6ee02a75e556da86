// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package delta says how one version of a state differs from another: which
// parts of the base to copy and which bytes to insert.
//
// [Encode] makes a delta, [Apply] the target from base and delta, [Check] does
// what can be done without the base. The format is in FORMAT.md.
//
// A delta is a hint, not a proof: Apply may turn a damaged delta into other
// bytes of the right length. Whoever needs the exact target compares its
// SHA-256. What the package promises for hostile bytes is an error or a result
// of the declared size, no panic, no memory beyond that size, and time in
// proportion to it. Check and Apply agree: both accept a delta or neither, if
// the base has the right size.
//
// Encode takes time near linear in base and target, whatever they hold.
//
// The package starts no goroutine and keeps nothing but pools; all functions
// are safe for concurrent use. Errors match hawser.ErrCorrupt and
// hawser.ErrTooLarge.
package delta
