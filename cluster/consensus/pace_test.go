// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		want := func(took time.Duration) {
			t.Helper()
			if got := p.now(); got != took {
				t.Errorf("appends take %v, want %v", got, took)
			}
		}
		want(0)
		end := p.begin()
		time.Sleep(time.Second)
		want(time.Second) // under way
		time.Sleep(time.Second)
		end()
		want(2 * time.Second)
		end = p.begin()
		time.Sleep(time.Millisecond)
		want(2 * time.Second) // the last one took longer
		end()
		want(time.Millisecond)
		time.Sleep(paceFor)
		want(0)
	})
}
