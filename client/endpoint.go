// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// endpoint is one address of a node with its connection. All fields but conn
// and address are guarded by the router's mutex.
type endpoint struct {
	address string
	conn    *grpc.ClientConn
	// configured is false for an address that a node told.
	configured bool
	// node is the id of the node that last answered there.
	node string
	// failures counts since the last success; behind says until when the
	// endpoint is tried after the others.
	failures int
	behind   time.Time
	// calls counts attempts under way.
	calls int
}

func (e *endpoint) ready() bool { return e.conn.GetState() == connectivity.Ready }

const (
	firstPenalty = 500 * time.Millisecond
	maxPenalty   = 30 * time.Second
)

// fail puts e behind the others, longer each time.
func (e *endpoint) fail(now time.Time) {
	penalty := min(firstPenalty<<min(e.failures, 10), maxPenalty)
	e.failures++
	e.behind = now.Add(penalty)
}

const (
	// maxMessage is far above what nodes send at a time: states come in parts.
	maxMessage = 16 << 20

	reconnectBase  = 50 * time.Millisecond
	reconnectMax   = time.Second
	connectTimeout = 2 * time.Second
	// unackedTimeout closes a connection whose peer acknowledges nothing. No
	// pings are sent for it: the interval is the shortest that servers take
	// by default, far longer than a call.
	unackedTimeout = 5 * time.Second
	pingInterval   = 5 * time.Minute
)

// dialer returns the function that makes connections. They are not opened
// before they are needed.
func dialer(cfg Config) func(address string) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if cfg.TLS != nil {
		creds = credentials.NewTLS(cfg.TLS.Clone())
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		// The client decides what is repeated, not the service config.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(maxMessage), grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: unackedTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: reconnectBase, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMax},
			MinConnectTimeout: connectTimeout,
		}),
	}, cfg.DialOptions...)
	return func(address string) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+address, options...)
	}
}
