// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser/internal/peerpb"
)

// passThrough are gRPC credentials for connections that the port has
// authenticated already; it refuses all others.
type passThrough struct{}

var errNotSecured = errors.New("connection did not come through the peer port")

// ClientHandshake implements credentials.TransportCredentials.
func (passThrough) ClientHandshake(_ context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return pass(c)
}

// ServerHandshake implements credentials.TransportCredentials.
func (passThrough) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return pass(c)
}

func pass(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	s, ok := c.(*secured)
	if !ok {
		return nil, nil, errNotSecured
	}
	return s, authInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		remote:         s.remote,
	}, nil
}

// Info implements credentials.TransportCredentials.
func (passThrough) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: alpn}
}

// Clone implements credentials.TransportCredentials.
func (passThrough) Clone() credentials.TransportCredentials { return passThrough{} }

// OverrideServerName implements credentials.TransportCredentials.
func (passThrough) OverrideServerName(string) error { return nil }

// authInfo carries the remote identity to handlers.
type authInfo struct {
	credentials.CommonAuthInfo
	remote Identity
}

// AuthType implements credentials.AuthInfo.
func (authInfo) AuthType() string { return alpn }

// RemoteFrom returns who calls, inside a handler of a server that was made
// with [Port.ServerOptions]. A zero cluster id is a caller without a cluster,
// which only Promise and Join see.
func RemoteFrom(ctx context.Context) (Identity, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Identity{}, false
	}
	info, ok := p.AuthInfo.(authInfo)
	return info.remote, ok
}

// guard refuses calls of strangers, and all but Promise and Join of a caller
// without a cluster.
func guard(ctx context.Context, method string) error {
	remote, ok := RemoteFrom(ctx)
	switch {
	case !ok:
		return status.Error(codes.Unauthenticated, errNotSecured.Error())
	case remote.HasCluster(), method == peerpb.Peer_Promise_FullMethodName, method == peerpb.Peer_Join_FullMethodName:
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "node %q belongs to no cluster yet and may call only Promise and Join, not %s", remote.NodeID, method)
}

func guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := guard(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := guard(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}
