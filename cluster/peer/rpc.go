// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"

	"github.com/hawserdb/hawser"
)

// Conn returns the client for the internal gRPC of a node. It is made at the
// first call and cached until [Port.Drop] or Close; it connects when it is
// first used and reconnects with backoff, resolving the address each time.
// The node at the other end is always nodeID: calls fail with
// codes.Unavailable, naming both ids, while another answers. Callers do not
// close it.
func (p *Port) Conn(nodeID string) (*grpc.ClientConn, error) {
	if err := checkNodeID(nodeID); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, dialError(hawser.CodeUnavailable, nodeID, "", ErrClosed)
	}
	if cc := p.conns[nodeID]; cc != nil {
		return cc, nil
	}
	cc, err := newClient(func(ctx context.Context) (net.Conn, error) {
		c, err := p.dialNode(ctx, nodeID, kindRPC)
		if err != nil {
			return nil, err
		}
		return c, nil
	})
	if err != nil {
		return nil, dialError(hawser.CodeInternal, nodeID, "", err)
	}
	p.conns[nodeID] = cc
	return cc, nil
}

// DialAddress connects to whatever node is at addr, for Promise and Join:
// asFounder shows no cluster id even if this node has one. It returns when
// the connection is up, or with the reason of its first failure: errors match
// [hawser.ErrUnavailable], [hawser.ErrUnauthenticated] (the secrets differ,
// or no peer port is there) or [ErrWrongCluster]. The caller closes the
// connection.
func (p *Port) DialAddress(ctx context.Context, addr string, asFounder bool) (*grpc.ClientConn, error) {
	ours := p.identity()
	if asFounder {
		ours.ClusterID = [16]byte{}
	}
	var last lastError
	cc, err := newClient(func(ctx context.Context) (net.Conn, error) {
		c, err := p.dial(ctx, dialing{addr: addr, ours: ours, kind: kindRPC})
		if err != nil {
			last.set(err)
			return nil, err
		}
		return c, nil
	})
	if err != nil {
		return nil, dialError(hawser.CodeInvalid, addr, "", err)
	}
	cc.Connect()
	for state := cc.GetState(); state != connectivity.Ready; state = cc.GetState() {
		if state == connectivity.TransientFailure || state == connectivity.Shutdown {
			_ = cc.Close()
			return nil, last.get(addr)
		}
		if !cc.WaitForStateChange(ctx, state) {
			_ = cc.Close()
			return nil, dialError(hawser.CodeUnavailable, addr, "", ctx.Err())
		}
		cc.Connect()
	}
	return cc, nil
}

// lastError is the newest error of a client's dials.
type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastError) get(addr string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return dialError(hawser.CodeUnavailable, addr, "the other side does not serve calls", nil)
	}
	return l.err
}

// newClient returns a lazy client over connections that dial secures.
func newClient(dial func(context.Context) (net.Conn, error)) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///peer",
		grpc.WithAuthority("peer"),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }),
		grpc.WithTransportCredentials(passThrough{}),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
	)
}

// ServerOptions returns the options that the internal gRPC server needs:
// credentials that know the caller ([RemoteFrom]), interceptors that hold a
// caller without a cluster to Promise and Join, and bounds.
func (p *Port) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(passThrough{}),
		grpc.ChainUnaryInterceptor(guardUnary),
		grpc.ChainStreamInterceptor(guardStream),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.MaxConcurrentStreams(2048),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.ConnectionTimeout(p.timeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}
