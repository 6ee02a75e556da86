// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"testing"
)

// Three replicas elect, replicate, survive the loss of their leader, and one
// that comes back replays what it missed: all digests are equal.
func TestReplica_ElectReplicateFailOverReplay(t *testing.T) {
	for _, kind := range []string{LogWAL, LogBoltDB} {
		t.Run(kind, func(t *testing.T) {
			g := newGroup(t, 3, func(c *Config) { c.LogStore = kind })
			first := g.leader()
			g.propose(first, 20, 1000)
			g.same(first)
			g.stop(first.id)
			second := g.leader(first.id)
			g.propose(second, 20, 1000)
			g.start(first.id)
			g.propose(g.leader(), 5, 10)
			g.same(g.leader())
			if second.results == 0 || len(second.leadership) == 0 {
				t.Errorf("results %d, leadership %v", second.results, second.leadership)
			}
		})
	}
}
