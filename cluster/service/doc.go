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
// A Service exists from the start of the process; until the node belongs to a
// cluster ([Service.Start]) every call is answered with hawser.ErrUnavailable
// and the reason. The package starts no goroutine.
package service
