// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"net"
	"time"

	"github.com/hawserdb/hawser"
)

// RaftStreams is Raft's view of the port: a net.Listener and a Dial, which is
// all that a raft.StreamLayer is but for the type of the address. Addresses
// are node ids: Dial resolves one at each call, and Addr is the own one.
type RaftStreams struct {
	port *Port
	in   *intake
}

var _ net.Listener = (*RaftStreams)(nil)

// nodeAddr is a node id as a net.Addr.
type nodeAddr string

// Network implements net.Addr.
func (nodeAddr) Network() string { return "hawser" }

// String returns the node id.
func (a nodeAddr) String() string { return string(a) }

// Raft returns the stream layer for Raft's transport. It is the same one
// until that is closed; afterwards a new one, so that Raft can be restarted
// without the port. Before the first call, and between the close of one and
// the next call, streams of other nodes are refused. After [Port.Close] it
// returns a closed one.
func (p *Port) Raft() *RaftStreams {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.raft != nil && !p.raft.in.isClosed() {
		return p.raft
	}
	s := &RaftStreams{port: p}
	s.in = newIntake(nodeAddr(p.identity().NodeID), func() {
		p.open.abort(func(e *entry) bool { return e.kind == kindRaft })
	})
	select {
	case <-p.done:
		_ = s.in.Close()
	default:
		p.raft = s
	}
	return s
}

// raftIntake returns who takes Raft streams now, or nil.
func (p *Port) raftIntake() *intake {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.raft == nil {
		return nil
	}
	return p.raft.in
}

// Accept waits for a stream of a node that AllowRaft knows. After Close it
// returns an error that matches net.ErrClosed.
func (s *RaftStreams) Accept() (net.Conn, error) { return s.in.Accept() }

// Addr returns the node id of this node.
func (s *RaftStreams) Addr() net.Addr { return s.in.Addr() }

// Close closes the layer and all its streams, dialed and accepted: Raft's
// transport does not close the accepted ones itself.
func (s *RaftStreams) Close() error { return s.in.Close() }

// Dial opens a stream to a node within timeout, or the port's handshake
// timeout if that is shorter or timeout is zero. Errors match
// [hawser.ErrUnavailable], [hawser.ErrUnauthenticated], [ErrWrongCluster] or
// [ErrNotMember]; they name both nodes.
func (s *RaftStreams) Dial(nodeID string, timeout time.Duration) (net.Conn, error) {
	if s.in.isClosed() {
		return nil, dialError(hawser.CodeUnavailable, nodeID, "", ErrClosed)
	}
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := s.port.dialNode(ctx, nodeID, kindRaft)
	if err != nil {
		return nil, err
	}
	if s.in.isClosed() { // meanwhile, and its close may have missed c
		_ = c.NetConn().Close()
		_ = c.Close()
		return nil, dialError(hawser.CodeUnavailable, nodeID, "", ErrClosed)
	}
	return c, nil
}
