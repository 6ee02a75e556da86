// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster composes a node of Hawser from its parts: the data
// directory, the state machine, the peer port, raft, gossip, and the servers
// for clients, peers and probes. The work is in the sub-packages; this one
// opens them in order, connects them, and closes them in the opposite order.
//
// # Life of a node
//
// [Open] locks the data directory, opens the state machine and the ports and
// starts raft, which speaks with nobody before the node has promised itself
// to a cluster. Then, in the background, the node founds a cluster with the
// others of its start line or joins one (package membership). Once it belongs
// to a cluster it gossips and answers clients; until then it answers
// hawser.ErrUnavailable with what it waits for.
//
// A node stops itself when going on could harm: a store that fails or hangs,
// damaged files, a command it does not know (package internal/halt). [Node.Done]
// tells, [Node.Err] says why. [Node.Close] stops it on purpose: a leader hands
// the leadership over first, running calls end, everything is made durable.
//
// # Goroutines
//
// Node owns one that founds or joins (run) and one that looks after readiness,
// disk and metadata each second (watch); grpcServer and httpServer own one each
// for serving; elders one; neighbours none of its own. Of the sub-packages, the
// scrubber owns two (what verifies, and what looks into versions that do not),
// the janitor and its compactor one each, catchup one that fetches the state of
// another member when the log does not reach, and its source those that make and
// expire checkpoints; the others document theirs. Close joins them all.
//
// # Locks
//
// No lock of this package is held while another is taken, or while another
// package is called, but for one: replica.starting is held while raft is
// opened. It is taken before replica.mu, and by nothing that raft calls.
package cluster
