// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package lease is the leader's table of the deadlines of leases. Which leases
// are open, and what they hold, is in the state machine; how long each of them
// has to live is only here, in the memory of the node that leads.
//
// # Promises
//
//   - A lease does not expire before a full TTL after the receipt of the last
//     renewal that was acknowledged, by the clock of the leader that received
//     it; and when nobody renews it and a leader lasts, it does expire.
//   - A renewal ([Manager.Renew]) moves the deadline when it is received. It is
//     acknowledged only after a term round that began after its receipt, and only while the lease is open under the
//     LeaderStart under which it was received. The round proves that no newer
//     leader had started at the receipt; one that starts later gives every
//     lease its full TTL from then on.
//   - A lease whose deadline has passed is closed in memory before its end is
//     proposed. From then on renewals of it wait for what becomes of the
//     proposal. One whose outcome is unknown, or that was not executed, is
//     repeated until the lease has ended, or the term; the lease stays closed.
//   - The proposal names the LeaderStart under which the deadline ran, and the
//     state machine refuses it after a newer one: a leader that was deposed
//     without knowing it ends nothing.
//   - A hold that somebody else has ended is given to the successor when its
//     holder has acknowledged that, which is none of this package, or when the
//     holder's deadline as it stood at the end has passed: what the holder was
//     told before it knew of the end reaches no further.
//   - Time in which this process did not run does not count: a tick that is
//     late by more than 100 ms moves every deadline by as much.
//
// # How it works
//
// [Manager.OnApplied] sees every entry that the own machine applies, before
// those who wait for its result do. It begins a table when it sees the
// LeaderStart of the own node, and notes from then on what entries open and
// end. The loop reads what was open before from a view of the machine; where
// both know something of a lease, what was noted is newer.
//
// Deadlines are in a wheel of 512 slots of 20 ms. A renewal only writes the new
// deadline into the lease; when the slot comes in which the lease lies, it is
// put where its deadline then is. So a renewal costs one look-up, and a lease
// is touched about once a TTL besides.
//
// # Goroutines
//
// One loop, and up to 32 workers while there is something to propose. Close
// ends and joins them. No lock is held while another package is called.
package lease
