// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// Dialer accepts raft streams of other nodes and opens streams to them by
// ServerID. It exists so that the packages around consensus need not know
// raft's types.
type Dialer interface {
	net.Listener
	Dial(node string, timeout time.Duration) (net.Conn, error)
}

// StreamsOf makes a Dialer usable as [Config.Streams].
func StreamsOf(d Dialer) raft.StreamLayer { return streamLayer{d} }

type streamLayer struct{ Dialer }

// Dial implements raft.StreamLayer. Addresses are ServerIDs.
func (s streamLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return s.Dialer.Dial(string(address), timeout)
}
