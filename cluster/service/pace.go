// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// A streaming call moves as much as it has to and has no fixed end. What
// bounds it is its other side, which may keep it waiting for patience, and
// earns further patience, never more than at first, with every byte that it
// sends or takes.
const (
	patience = 30 * time.Second
	// slowestRate is below what any usable line carries, in bytes a second.
	slowestRate = 128 << 10
)

// streaming are the methods that are calls with streams.
var streaming = map[string]bool{
	hawserv1.State_SaveParts_FullMethodName: true,
	hawserv1.State_Restore_FullMethodName:   true,
	hawserv1.State_Verify_FullMethodName:    true,
	hawserv1.Archive_Export_FullMethodName:  true,
	hawserv1.Archive_Import_FullMethodName:  true,
}

type endKey struct{}

// Tap is a tap.ServerInHandle that servers of a Service need: it makes it
// possible to end a stream that waits for its other side, which
// [Service.Stream] does. It refuses nothing.
func Tap(ctx context.Context, call *tap.Info) (context.Context, error) {
	if !streaming[call.FullMethodName] {
		return ctx, nil
	}
	ctx, end := context.WithCancelCause(ctx) // ends with the stream at the latest
	return endable{context.WithValue(ctx, endKey{}, end)}, nil
}

// endable is the context of a stream. gRPC itself tells the other side why a
// Send failed, by the Err of the context, which cannot say more than this.
type endable struct{ context.Context } //nolint:containedctx // it is one

// Err implements context.Context.
func (e endable) Err() error {
	err := e.Context.Err()
	if err != nil && errors.Is(context.Cause(e.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// paced is a stream whose other side may not keep it waiting.
type paced struct {
	grpc.ServerStream
	end     context.CancelCauseFunc
	in, out pace
}

// newPaced returns stream paced, or as it is if it did not come past Tap.
func newPaced(stream grpc.ServerStream) grpc.ServerStream {
	end, ok := stream.Context().Value(endKey{}).(context.CancelCauseFunc)
	if !ok {
		return stream
	}
	return &paced{ServerStream: stream, end: end, in: pace{left: patience}, out: pace{left: patience}}
}

// RecvMsg implements grpc.ServerStream.
func (p *paced) RecvMsg(m any) error {
	return p.in.wait(p.end, func() error { return p.ServerStream.RecvMsg(m) }, m)
}

// SendMsg implements grpc.ServerStream.
func (p *paced) SendMsg(m any) error {
	return p.out.wait(p.end, func() error { return p.ServerStream.SendMsg(m) }, m)
}

// pace is what is left of the patience with one direction of a stream. It is
// used by one goroutine at a time, as streams are.
type pace struct{ left time.Duration }

func (p *pace) wait(end context.CancelCauseFunc, move func() error, m any) error {
	slow := &hawser.Error{Code: hawser.CodeDeadline, Op: "stream", Msg: "the other side did not go on in time", Err: context.DeadlineExceeded}
	begin := time.Now()
	timer := time.AfterFunc(p.left, func() { end(slow) })
	err := move()
	if !timer.Stop() && err != nil {
		return slow
	}
	earned := time.Duration(0)
	if message, ok := m.(proto.Message); ok && err == nil {
		earned = time.Duration(proto.Size(message)) * time.Second / slowestRate
	}
	p.left = min(p.left-time.Since(begin)+earned, patience)
	return err
}
