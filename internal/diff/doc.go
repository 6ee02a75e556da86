// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package diff says what differs between two states: for JSON the paths that
// were added, removed or changed, for other bytes the ranges that differ.
//
// It is pure and bounded: it keeps the two states, what it reports, and the
// places of the members of the containers that it is in; it looks at no byte
// more often than the depth allows, and gives up in favour of a coarser answer
// where that would cost too much ([Result.Truncated]).
//
// JSON is compared as written: numbers by their digits, so that 1 and 1.0
// differ and no digit is lost, strings by what they mean, objects without
// regard to order or space. Arrays are taken as histories, which mostly grow
// at the end: what they have in common at the beginning and at the end is
// left aside, the rest is compared index by index. A document in which an
// object has a key twice means different things to different readers, so it
// is compared as bytes.
package diff
