// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/service"
	"github.com/hawserdb/hawser/internal/wire"
)

// maxCalls bounds the calls of all clients that a node works on at a time,
// over all connections. A call may bring a message of 512 KiB (maxMessage),
// which is in memory whole before anything of ours sees it, and a stream as
// much again (streamWindow); so this bounds the memory of what clients send,
// hostile ones too, to 512 MiB. Answers come on top: a restore holds one message
// of at most 256 KiB, as packed for the wire too, and one content of 128 KiB,
// however slowly it is taken. Calls that need more than that have fewer places
// of their own in the service. Calls take milliseconds, so more agents than this
// can save at the same time.
const maxCalls = 512

// maxArrival is within what the first message of a call has to arrive whole.
// Calls of which only the headers were sent would hold all places otherwise, for
// nothing.
const maxArrival = 20 * time.Second

// Streams that stay are counted apart once their handler runs, or the watchers
// would leave no room for calls. A watch or observation has brought its only
// message by then; a KeepAlive may bring one at any time, of a client with all
// its leases.
const (
	maxWatches    = 20_000
	maxKeepAlives = 4_096
)

// admission counts the calls under way. A call is counted from its headers,
// before a byte of its message is read, until its stream ends.
type admission struct {
	limit               int64
	arrival             time.Duration
	calls               atomic.Int64
	watches, keepAlives atomic.Int64
}

// standing returns the counter of a method whose streams stay, with its limit;
// nil for others.
func (a *admission) standing(method string) (counter *atomic.Int64, limit int64) {
	switch method {
	case hawserv1.Watch_Watch_FullMethodName, hawserv1.Coordination_Observe_FullMethodName,
		hawserv1.Transactions_Transact_FullMethodName, hawserv1.Transactions_Participate_FullMethodName,
		hawserv1.Messages_Inbox_FullMethodName:
		return &a.watches, maxWatches
	case hawserv1.Coordination_KeepAlive_FullMethodName:
		return &a.keepAlives, maxKeepAlives
	}
	return nil, 0
}

var errAdmission error = &hawser.Error{
	Code: hawser.CodeOverloaded, Op: "call", Msg: "this node works on as many calls as it can; repeat it after a while, or at another node",
}

// placeKey is the context key of the place of a call.
type placeKey struct{}

// place is what a call holds.
type place struct {
	arrived func() bool // its first message is there
	release func()      // it is counted no more
}

func placeOf(ctx context.Context) place {
	if p, ok := ctx.Value(placeKey{}).(place); ok {
		return p
	}
	return place{arrived: func() bool { return false }, release: func() {}} // a health watch is not counted
}

// tap is a tap.ServerInHandle. It refuses a call above the limit with
// hawser.ErrOverloaded. The stream's context ends with the stream, whatever
// becomes of it, so nothing is counted for ever: a call whose first message does
// not arrive in time ends.
func (a *admission) tap(ctx context.Context, call *tap.Info) (context.Context, error) {
	if call.FullMethodName == grpc_health_v1.Health_Watch_FullMethodName {
		return ctx, nil // it stays as long as the watcher, and needs no memory
	}
	if a.calls.Add(1) > a.limit {
		a.calls.Add(-1)
		return nil, wire.ToStatus(errAdmission, wire.Leader{})
	}
	ctx, end := context.WithCancel(ctx) // ends with the stream at the latest
	late := time.AfterFunc(a.arrival, end)
	ended := context.AfterFunc(ctx, func() {
		late.Stop()
		a.calls.Add(-1)
	})
	release := func() {
		if ended() {
			a.calls.Add(-1)
		}
	}
	return service.Tap(context.WithValue(ctx, placeKey{}, place{arrived: late.Stop, release: release}), call)
}

// unary ends the count of a call that was answered, without the goroutine
// that the end of its context would take.
func (a *admission) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	p := placeOf(ctx)
	p.arrived()
	defer p.release()
	return handler(ctx, req)
}

// stream is unary for streaming calls.
func (a *admission) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	p := placeOf(stream.Context())
	if counter, limit := a.standing(info.FullMethod); counter != nil {
		defer counter.Add(-1)
		if counter.Add(1) > limit {
			return wire.ToStatus(errAdmission, wire.Leader{})
		}
		return handler(srv, &arriving{ServerStream: stream, once: sync.OnceFunc(func() {
			p.arrived()
			p.release() // a stream that stays is no call any more
		})})
	}
	defer p.release()
	return handler(srv, &arriving{ServerStream: stream, once: sync.OnceFunc(func() { p.arrived() })})
}

// arriving is a stream that tells once when its first message was received.
type arriving struct {
	grpc.ServerStream

	once func()
}

// RecvMsg implements grpc.ServerStream.
func (s *arriving) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	s.once()
	return err
}
