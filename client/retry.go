// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"math/rand/v2"
	"time"
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

const (
	firstBackoff = 25 * time.Millisecond
	maxBackoff   = 400 * time.Millisecond
)

// retry runs attempt until it says stop or ctx ends.
func (c *Client) retry(ctx context.Context, attempt func() next) {
	for backoff := firstBackoff; ; {
		switch attempt() {
		case stop:
			return
		case retryNow:
			continue
		case retryLater:
		}
		timer := time.NewTimer(backoff/2 + rand.N(backoff/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}
