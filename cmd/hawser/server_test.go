// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A node that hangs while it closes does not keep the process: a hung disk is
// a reason to end, with an exit code. One that closes in time is waited for.
func TestCloseWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
		defer cancel()
		release := make(chan struct{})
		defer close(release)
		begin := time.Now()
		err := closeWithin(ctx, func(context.Context) error { <-release; return nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > stopTimeout+time.Second {
			t.Errorf("hung: %v after %v", err, time.Since(begin))
		}
	})
	failed := errors.New("could not be closed")
	if err := closeWithin(t.Context(), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("failed: %v", err)
	}
}
