// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// UnaryInterceptor makes the unary calls of a gRPC client calls of this policy; their
// target is the connection's. Transient are UNAVAILABLE, RESOURCE_EXHAUSTED and
// ABORTED; unknown are DEADLINE_EXCEEDED, UNKNOWN, INTERNAL and DATA_LOSS; all others
// are permanent. Those of methods that idempotent says may happen twice are tried
// again when it is unknown; nil says so of none. Nothing is hedged. An error keeps
// its status: status.Code tells that of the last attempt.
func (p *Policy) UnaryInterceptor(idempotent func(method string) bool) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		var callOpts []Option
		if idempotent != nil && idempotent(method) {
			callOpts = append(callOpts, withoutHedge())
		}
		_, err := Do(ctx, p, conn.Target(), func(ctx context.Context) (struct{}, error) {
			err := invoker(ctx, method, req, reply, conn, opts...)
			if err != nil {
				err = &classed{error: err, class: classOfCode(status.Code(err))}
			}
			return struct{}{}, err
		}, callOpts...)
		return err
	}
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
