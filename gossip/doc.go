// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package gossip finds out which nodes are there: who is a member, what each
// says about itself, and who stopped answering.
//
// A [Pool] wraps hashicorp/memberlist with the settings that Hawser needs:
// always encrypted, one label a cluster, fast probes (a node that stops
// answering is dead within a second or so), and a periodic join of the seeds
// that are not alive members, because memberlist forgets dead nodes and never
// heals a long partition by itself.
//
// # What it is worth
//
// Gossip is a hint and never an authority. Whoever holds the key can claim
// anything; messages arrive late, out of order or not at all; two nodes may
// disagree. It may trigger an election and fill an address book; it never
// changes membership or data.
//
// Members are alive, dead (stopped answering) or left (said good-bye).
// Memberlist's short state of suspicion, some 400 ms between a failed probe
// and dead, is not visible from outside; [Member.LastAnswer] is the raw
// material for an own judgement. Dead and left members stay listed for a
// while, bounded in time and number.
//
// # Events
//
// memberlist calls its delegates while it holds its node lock. Ours copy what
// they are given into a table of their own and return: they never call
// memberlist, and take only the table's lock, under which nobody calls
// memberlist either. [Pool.Changes] is one coalesced signal; read
// [Pool.Members] after each.
//
// # Goroutines and failure
//
// A Pool runs one goroutine that joins seeds and one that sends metadata;
// Close ends and joins both and cuts short what they are dialing. memberlist
// runs some of its own, which end soon after Close without being joined
// (it offers no way). Garbage on the port is dropped and logged, at most a
// few lines a second.
package gossip
