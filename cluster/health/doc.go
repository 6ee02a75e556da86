// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package health is the leader's judge of instances of agents: of those that own one,
// and of those that wait for one. What they report comes with the signs of life of
// their leases; whether a lease lives is not judged here.
//
// # Promises
//
//   - A leader knows nothing of what others have seen before it: every state is unknown
//     until it has seen a full streak of failures, or a sample that is large enough,
//     itself.
//   - Only changes of owners' states are written to the log, at most one in 5 s of an
//     agent unless it is for the worse, and at most 4,000 in a second of all.
//   - An instance that reports no more while its lease lives is unknown after 10 s, and
//     forgotten after a minute.
//   - An agent is taken from its owner only if that has asked for it (Report.Yield), is
//     unhealthy, and a healthy instance waits; and a fresh sign of life vetoes it: a
//     newest report without a problem, or a save since the last step of one that is
//     unhealthy for want of steps.
//   - All that is kept takes 64 MiB at most: of many instances fewer results are kept
//     than 100, of very many the newest metrics are left out, and beyond that new ones
//     are not taken.
//
// # Goroutines
//
// One loop, which proposes and forgets. Close ends and joins it. No lock is held while
// another package is called.
package health
