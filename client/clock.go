// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync"
	"time"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// clock knows the cluster's clock, as far as answers have told it: the leader
// knows it, a node that does not lead may know an old time only. Safe for
// concurrent use.
type clock struct {
	mu sync.Mutex
	// ahead is how far the cluster's clock is ahead of bootNow's, 0 before the
	// first answer.
	ahead time.Duration // guarded by mu
}

// learn takes note of the time in an answer.
func (c *clock) learn(h *hawserv1.Header) {
	t := h.GetMachineTime()
	if t.GetSeconds() <= 0 {
		return
	}
	ahead := time.Duration(t.AsTime().UnixNano()) - bootNow()
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.GetNode() != h.GetLeader() {
		ahead = max(c.ahead, ahead)
	}
	c.ahead = ahead
}

// now returns the cluster's clock, the zero time before the first answer.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ahead == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(c.ahead+bootNow())).UTC()
}
