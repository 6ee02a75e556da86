// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// next says how a call goes on after an attempt.
type next uint8

const (
	stop next = iota
	// retryNow at another endpoint, of which there is one that was not tried.
	retryNow
	// retryLater, after a backoff.
	retryLater
)

// What an attempt tells the retry policy. The call keeps what really happened.
var (
	errNow   = errors.New("again now")
	errLater = errors.New("again later")
)

const (
	firstBackoff = 25 * time.Millisecond
	maxBackoff   = 400 * time.Millisecond
	jitter       = 0.25
)

// newRetries returns the policy of all calls. How long they go on is the
// business of their contexts.
func newRetries() retrypolicy.RetryPolicy[any] {
	return retrypolicy.NewBuilder[any]().
		HandleErrors(errNow, errLater).
		WithMaxRetries(-1).
		WithBackoff(firstBackoff, maxBackoff).
		WithJitterFactor(jitter).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[any]) time.Duration {
			if errors.Is(e.LastError(), errNow) {
				return 0
			}
			return -1 // the backoff
		}).
		ReturnLastFailure().
		Build()
}

// retry runs attempt until it says stop or ctx ends. It returns nothing: the
// end of ctx says nothing about the attempt that it met.
func (c *Client) retry(ctx context.Context, attempt func() next) {
	_ = failsafe.With(c.retries).WithContext(ctx).Run(func() error {
		switch attempt() {
		case retryNow:
			return errNow
		case retryLater:
			return errLater
		case stop:
		}
		return nil
	})
}
