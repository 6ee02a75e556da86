// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// errStalled ends a stream that stands still.
var errStalled = errors.New("the stream stands still")

// untilStalled returns a context that ends when moved was not called for so
// long. stop ends it too.
func untilStalled(ctx context.Context, limit time.Duration) (_ context.Context, moved func(), stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w: nothing moved for %s", errStalled, limit)) })
	return ctx, func() { timer.Reset(limit) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// stalled says in err that it is because the stream stood still, if it is.
func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: "stream", Err: errors.Join(cause, err)}
	}
	return err
}
