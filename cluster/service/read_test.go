// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
)

// A node that has applied nothing yet is behind, and not of another life: callers
// give up on the latter.
func TestSameGeneration(t *testing.T) {
	for _, c := range []struct {
		asked, has uint64
		want       hawser.Code
	}{
		{0, 0, hawser.CodeOf(nil)},
		{0, 7, hawser.CodeOf(nil)},
		{7, 7, hawser.CodeOf(nil)},
		{7, 0, hawser.CodeUnavailable},
		{7, 8, hawser.CodeWrongGeneration},
	} {
		err := sameGeneration(&hawserv1.ReadOptions{Generation: c.asked}, fsm.Info{Generation: hawser.Generation(c.has)})
		if got := hawser.CodeOf(err); got != c.want {
			t.Errorf("asked for generation %d at a node of %d: %v, want %v", c.asked, c.has, err, c.want)
		}
	}
}
