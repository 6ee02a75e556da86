// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streams wraps the caller's stream layer. A connection that stands still for
// the stall limit is given up: raft sets one deadline for a whole snapshot, in
// proportion to its size, which is hours for a big one, and none at all where
// it receives. And Close closes every connection, which raft's transport
// leaves to the peer.
type streams struct {
	raft.StreamLayer
	addr  streamAddr
	stall time.Duration

	mu     sync.Mutex
	conns  map[*stallConn]struct{}
	closed bool
}

// streamAddr is the replica's ServerID: raft takes the listener's address for
// the replica's ServerAddress.
type streamAddr string

// Network implements net.Addr.
func (streamAddr) Network() string { return "raft" }

// String implements net.Addr.
func (a streamAddr) String() string { return string(a) }

func newStreams(under raft.StreamLayer, id string, stall time.Duration) *streams {
	return &streams{StreamLayer: under, addr: streamAddr(id), stall: stall, conns: map[*stallConn]struct{}{}}
}

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return s.addr }

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	c, err := s.StreamLayer.Accept()
	if err != nil {
		return nil, err
	}
	return s.add(&stallConn{Conn: c, streams: s, readStall: s.stall})
}

// Dial implements raft.StreamLayer.
func (s *streams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := s.StreamLayer.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	return s.add(&stallConn{Conn: c, streams: s, writeStall: s.stall})
}

func (s *streams) add(c *stallConn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(net.ErrClosed, c.Conn.Close())
	}
	s.conns[c] = struct{}{}
	return c, nil
}

// Close implements net.Listener.
func (s *streams) Close() error {
	err := s.StreamLayer.Close()
	s.mu.Lock()
	conns := s.conns
	s.conns, s.closed = map[*stallConn]struct{}{}, true
	s.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
	return err
}

// stallConn gives up when nothing moves. A side with a zero limit keeps the
// deadline that raft set.
type stallConn struct {
	net.Conn
	streams               *streams
	readStall, writeStall time.Duration
}

// Read implements net.Conn. To raft a peer that stands still looks like one
// that hung up.
func (c *stallConn) Read(b []byte) (int, error) {
	if c.readStall == 0 {
		return c.Conn.Read(b)
	}
	if err := c.SetReadDeadline(time.Now().Add(c.readStall)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *stallConn) Write(b []byte) (int, error) {
	if c.writeStall != 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.writeStall)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *stallConn) Close() error {
	c.streams.mu.Lock()
	delete(c.streams.conns, c)
	c.streams.mu.Unlock()
	return c.Conn.Close()
}
