// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hawserdb/hawser/client/call"
)

// Claim: errors of the interceptor tell gRPC a status: that of the last attempt with its
// details, that of the caller's end, UNAVAILABLE for what was not sent. A connection that
// is nil does not matter.
func TestUnaryInterceptor_Status(t *testing.T) {
	detailed, err := status.New(codes.NotFound, "no such model").WithDetails(durationpb.New(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ended := func(ctx context.Context) error {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	for name, c := range map[string]struct {
		change func(*call.Config)
		open   bool
		f      func(ctx context.Context) error
		cancel time.Duration
		took   time.Duration
		code   codes.Code
		is     error
	}{
		"of the attempt":             {change: one, f: func(context.Context) error { return detailed.Err() }, code: codes.NotFound},
		"no status":                  {change: one, f: func(context.Context) error { return errBroken }, code: codes.Unknown, is: errBroken},
		"it takes too long":          {change: one, f: ended, took: 30 * time.Second, code: codes.DeadlineExceeded, is: call.ErrTimeout},
		"the caller's time is over":  {change: one, f: ended, took: time.Second, code: codes.DeadlineExceeded, is: context.DeadlineExceeded},
		"the caller cancels":         {change: one, f: ended, cancel: 500 * time.Millisecond, took: 500 * time.Millisecond, code: codes.Canceled, is: context.Canceled},
		"the caller ends in a pause": {change: func(c *call.Config) { c.Delay = time.Minute }, f: func(context.Context) error { return status.Error(codes.Unavailable, "busy") }, took: time.Second, code: codes.DeadlineExceeded, is: context.DeadlineExceeded},
		"no budget":                  {change: func(c *call.Config) { c.RetryShare = -1 }, f: func(context.Context) error { return status.Error(codes.ResourceExhausted, "busy") }, code: codes.ResourceExhausted, is: call.ErrBudget},
		"not sent":                   {change: one, open: true, code: codes.Unavailable, is: call.ErrOpen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t, c.change)
				if c.open {
					breakOpen(t, p, "grpc")
				}
				ctx, cancel := context.WithTimeout(t.Context(), max(c.took, time.Millisecond))
				if c.code != codes.DeadlineExceeded || errors.Is(c.is, call.ErrTimeout) {
					ctx, cancel = context.WithCancel(t.Context())
				}
				defer cancel()
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				begin := time.Now()
				err := p.UnaryInterceptor(nil)(ctx, "/model/Ask", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
					return c.f(ctx)
				})
				var failed *call.Error
				if status.Code(err) != c.code || !errors.As(err, &failed) || c.is != nil && !errors.Is(err, c.is) || time.Since(begin) != c.took {
					t.Errorf("%v, %v after %v", status.Code(err), err, time.Since(begin))
				}
				if c.code == codes.NotFound && len(status.Convert(err).Details()) != 1 {
					t.Errorf("its details are lost: %v", status.Convert(err))
				}
			})
		})
	}
}
