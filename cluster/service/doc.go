// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package service answers the public gRPC calls: it validates a request once,
// takes it to the leader, and reads from the node's own machine.
//
// Any node takes any call. Writes run at the leader: a node that does not
// lead forwards them over the peer port and repeats them, with the same
// request id, while nothing says what became of them. Reads run here, on a
// snapshot that is at least as new as an index the leader confirmed.
//
// What is too long for one message is a stream: a save or an archive that comes
// in is relayed to the leader message by message, and is not repeated on the
// way, since only the caller has all of it; until its end has been handed on it
// is certain that it was not executed. A part of it that the leader has put
// into the log already is found again by the repetition. The other side of a
// stream may keep the node waiting for a while only; calls that cost much, in
// memory or in snapshots of the engine, have a number of places each.
//
// A Service exists from the start of the process; until the node belongs to a
// cluster ([Service.Start]) every call is answered with hawser.ErrUnavailable
// and the reason; while an archive is being restored, all but Import and the
// calls about the cluster are. The package starts no goroutine that outlives
// the call for which it stages parts.
package service
