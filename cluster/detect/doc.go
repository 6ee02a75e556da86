// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package detect notices that the leader is gone long before raft's own timeout
// does, and has the node stand for election.
//
// Raft's timeouts stay calm, so that a disk that stalls for a second costs no
// election. Speed comes from signs that a timeout does not see. Every node keeps
// an idle connection, a line, to the leader: a process that dies takes it with
// it at once, and then nobody listens, or another process does. A host that is
// frozen or cut off leaves the line open; there gossip, raft's contact and pings
// on the peer port have to agree. The decision itself is [policy.Elect], a pure
// function; this package collects what it is made from, and carries it out.
//
// Nothing here is needed for safety. A node that stands wrongly costs an
// election; raft's rules of voting hold.
//
// A [Detector] runs one goroutine, one more for the line, and at most one ping;
// Close ends and joins them.
package detect
