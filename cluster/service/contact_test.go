// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/wire"
)

// Claim: a stream outlives an election and ends on a node that is cut off for
// longer, so that whoever reads it goes on elsewhere.
func TestContact_EndsStreamsOfANodeThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leader := ""
		b := &Backend{Leader: func() wire.Leader { return wire.Leader{ID: leader} }}
		var c contact
		for _, step := range []struct {
			leader string
			after  time.Duration
			ends   bool
		}{
			{"n1", 0, false},
			{"", time.Hour, false},
			{"", 2 * time.Second, false},
			{"n2", time.Second, false},
			{"", time.Hour, false},
			{"", 2 * time.Second, false},
			{"", 2 * time.Second, true},
		} {
			time.Sleep(step.after)
			leader = step.leader
			if err := c.check(b); (err != nil) != step.ends || step.ends && !errors.Is(err, hawser.ErrUnavailable) {
				t.Errorf("%+v: %v", step, err)
			}
		}
	})
}
