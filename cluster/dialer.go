// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// founderDialer asks nodes that may not belong to a cluster yet.
type founderDialer struct{ port *peer.Port }

var _ membership.Dialer = founderDialer{}

// Promise implements membership.Dialer.
func (d founderDialer) Promise(ctx context.Context, addr string, r *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	return dialOnce(ctx, d, addr, func(c peerpb.PeerClient) (*peerpb.PromiseResponse, error) { return c.Promise(ctx, r) })
}

// Join implements membership.Dialer.
func (d founderDialer) Join(ctx context.Context, addr string, r *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	return dialOnce(ctx, d, addr, func(c peerpb.PeerClient) (*peerpb.JoinResponse, error) { return c.Join(ctx, r) })
}

func dialOnce[T any](ctx context.Context, d founderDialer, addr string, call func(peerpb.PeerClient) (T, error)) (T, error) {
	var zero T
	conn, err := d.port.DialAddress(ctx, addr, true)
	if err != nil {
		return zero, err
	}
	defer closeConn(conn)
	resp, err := call(peerpb.NewPeerClient(conn))
	return resp, wire.FromStatus(err)
}

func closeConn(conn *grpc.ClientConn) { _ = conn.Close() }
