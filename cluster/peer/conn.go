// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// secured is an authenticated connection. Raft and gRPC hold it as a
// net.Conn; the port keeps it in its registry until it is closed.
type secured struct {
	*tls.Conn
	remote  Identity
	release func()
}

// Close closes the connection and takes it out of the registry.
func (s *secured) Close() error {
	s.release()
	return s.Conn.Close()
}

// keep registers an authenticated connection over raw and takes its
// handshake deadline away. It returns nil, with raw closed, when the port is
// closed or full.
func (p *Port) keep(raw net.Conn, c *tls.Conn, remote Identity, k kind) *secured {
	e := &entry{nodeID: remote.NodeID, kind: k}
	e.abort = func() {
		p.open.remove(e)
		_ = raw.Close() // not tls.Conn.Close, which may wait for the other side
	}
	if !p.open.add(e, maxConnections) {
		_ = raw.Close()
		return nil
	}
	release := sync.OnceFunc(func() { p.open.remove(e) })
	return &secured{Conn: c, remote: remote, release: release}
}

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

func setKeepAlive(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(keepAlive) // without it a dead peer is found by the layers above
		_ = t.SetNoDelay(true)
	}
}
