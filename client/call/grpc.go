// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// UnaryInterceptor makes the unary calls of a gRPC client calls of this policy; their
// target is the connection's. Transient are UNAVAILABLE, RESOURCE_EXHAUSTED and
// ABORTED; unknown are DEADLINE_EXCEEDED, UNKNOWN, INTERNAL and DATA_LOSS; all others
// are permanent. Those of methods that idempotent says may happen twice are tried
// again when it is unknown; nil says so of none. Nothing is hedged.
//
// An error is an *[Error], and keeps its status: status.Code tells that of the last
// attempt. When there was none, or the caller's context has ended, it is CANCELED or
// DEADLINE_EXCEEDED of the context, else UNAVAILABLE.
func (p *Policy) UnaryInterceptor(idempotent func(method string) bool) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		target := "grpc"
		if conn != nil {
			target = conn.Target()
		}
		_, err := Do(ctx, p, target, func(ctx context.Context) (struct{}, error) {
			err := invoker(ctx, method, req, reply, conn, opts...)
			if err != nil {
				err = &classed{error: err, class: classOfCode(status.Code(err))}
			}
			return struct{}{}, err
		}, func(o *options) { o.twice, o.alone = idempotent != nil && idempotent(method), true })
		if failed, ok := errors.AsType[*Error](err); ok {
			return &statusError{failed}
		}
		return err
	}
}

// statusError is an error of which gRPC can tell the status.
type statusError struct{ failed *Error }

// Error implements error.
func (e *statusError) Error() string { return e.failed.Error() }

// Unwrap returns the call's error.
func (e *statusError) Unwrap() error { return e.failed }

// GRPCStatus implements what the package status asks for.
func (e *statusError) GRPCStatus() *status.Status {
	switch {
	case errors.Is(e.failed.Reason, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, e.Error())
	case errors.Is(e.failed.Reason, context.Canceled):
		return status.New(codes.Canceled, e.Error())
	case e.failed.Err == nil:
		return status.New(codes.Unavailable, e.Error())
	}
	return status.Convert(e.failed.Err)
}

func classOfCode(c codes.Code) Class {
	switch c {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted:
		return ClassTransient
	case codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.DataLoss:
		return ClassUnknown
	case codes.OK, codes.Canceled, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
	}
	return ClassPermanent
}
