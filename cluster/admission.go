// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"

	"github.com/hawserdb/hawser"
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

// admission counts the calls under way. A call is counted from its headers,
// before a byte of its message is read, until its stream ends.
type admission struct {
	limit int64
	calls atomic.Int64
}

// releaseKey is the context key of the function that ends the count of a call.
type releaseKey struct{}

// tap is a tap.ServerInHandle. It refuses a call above the limit with
// hawser.ErrOverloaded. The stream's context ends with the stream, whatever
// becomes of it, so nothing is counted for ever; a client that went away with
// calls half sent is noticed by keepalive within 40 s.
func (a *admission) tap(ctx context.Context, call *tap.Info) (context.Context, error) {
	if call.FullMethodName == grpc_health_v1.Health_Watch_FullMethodName {
		return ctx, nil // it stays as long as the watcher, and needs no memory
	}
	if a.calls.Add(1) > a.limit {
		a.calls.Add(-1)
		return nil, wire.ToStatus(&hawser.Error{
			Code: hawser.CodeOverloaded, Op: "call", Msg: "this node works on as many calls as it can; repeat it after a while, or at another node",
		}, wire.Leader{})
	}
	ended := context.AfterFunc(ctx, func() { a.calls.Add(-1) })
	release := func() {
		if ended() {
			a.calls.Add(-1)
		}
	}
	return service.Tap(context.WithValue(ctx, releaseKey{}, release), call)
}

// unary ends the count of a call that was answered, without the goroutine
// that the end of its context would take.
func (a *admission) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if release, ok := ctx.Value(releaseKey{}).(func()); ok {
		defer release()
	}
	return handler(ctx, req)
}

// stream is unary for streaming calls.
func (a *admission) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if release, ok := stream.Context().Value(releaseKey{}).(func()); ok {
		defer release()
	}
	return handler(srv, stream)
}
