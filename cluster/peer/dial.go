// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"fmt"
	"net"

	"github.com/hawserdb/hawser"
)

// dialNode opens a connection to a node where Resolve says it is.
func (p *Port) dialNode(ctx context.Context, nodeID string, k kind) (*secured, error) {
	addr, ok := p.resolve(nodeID)
	if !ok {
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "dial peer", Key: nodeID, Msg: "its peer address is not known"}
	}
	ours := p.identity()
	if !ours.HasCluster() {
		return nil, dialError(hawser.CodeUnavailable, addr, fmt.Sprintf("node %q belongs to no cluster yet", ours.NodeID), nil)
	}
	return p.dial(ctx, dialing{addr: addr, want: nodeID, ours: ours, kind: k})
}

// dialing describes one dial.
type dialing struct {
	addr string
	// want is the node id that must answer; empty for any.
	want string
	// ours is who we say we are.
	ours Identity
	kind kind
}

// dial opens and authenticates a connection within ctx and the port's
// handshake timeout.
func (p *Port) dial(ctx context.Context, d dialing) (*secured, error) {
	if err := checkNodeID(d.ours.NodeID); err != nil {
		return nil, err
	}
	if !p.open.begin() {
		return nil, dialError(hawser.CodeUnavailable, d.addr, "", ErrClosed)
	}
	defer p.open.done()
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	e := &entry{nodeID: d.want, kind: d.kind, abort: cancel}
	if !p.open.add(e, maxConnections) {
		return nil, dialError(hawser.CodeUnavailable, d.addr, "closing, or too many connections are open", nil)
	}
	defer p.open.remove(e)

	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	raw, err := dialer.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, dialError(hawser.CodeUnavailable, d.addr, "", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	c, err := p.secure(ctx, raw, d)
	if err != nil {
		_ = raw.Close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, dialError(hawser.CodeUnavailable, d.addr, "handshake did not end in time", fmt.Errorf("%w: %w", cause, err))
		}
		return nil, err
	}
	if !stop() { // ctx ended meanwhile: raw is closed or about to be
		_ = c.Close()
		return nil, dialError(hawser.CodeUnavailable, d.addr, "handshake did not end in time", context.Cause(ctx))
	}
	return c, nil
}

// secure runs the handshake over raw and checks who answered.
func (p *Port) secure(ctx context.Context, raw net.Conn, d dialing) (*secured, error) {
	c, theirs, err := p.greet(ctx, raw, d.addr, hello{kind: d.kind, identity: d.ours})
	if err != nil {
		return nil, err
	}
	if d.want != "" && theirs.NodeID != d.want {
		return nil, &WrongNodeError{Address: d.addr, Dialed: d.want, Found: theirs.NodeID}
	}
	// The acceptor has applied the rule of cluster ids; it is ours as well.
	if d.ours.HasCluster() && theirs.ClusterID != d.ours.ClusterID {
		return nil, verdictWrongCluster.err(d.addr, d.ours, theirs)
	}
	conn := p.keep(raw, c, theirs, d.kind)
	if conn == nil {
		return nil, dialError(hawser.CodeUnavailable, d.addr, "closing, or too many connections are open", nil)
	}
	return conn, nil
}
