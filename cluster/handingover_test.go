// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: a voter that the leader asks to stand for election is elected at once, while
// the leader lives; nobody else may ask, and of a term that is over nothing is done.
func TestStand(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3)
	leader := c.Leader()
	other, third := (leader+1)%3, (leader+2)%3
	term, _ := cluster.Term(c.Node(leader))
	_, otherID := cluster.Term(c.Node(other))
	if err := cluster.AskToStand(t.Context(), c.Node(third), otherID, term); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("asked by one that does not lead: %v", err)
	}
	_ = cluster.AskToStand(t.Context(), c.Node(leader), otherID, term-1) // it is refused, or nothing is done
	time.Sleep(300 * time.Millisecond)
	if now, _ := cluster.Term(c.Node(leader)); now != term || c.Leader() != leader {
		t.Fatalf("node %d leads in term %d, it was %d in %d", c.Leader(), now, leader, term)
	}
	if err := cluster.AskToStand(t.Context(), c.Node(leader), otherID, term); err != nil {
		t.Fatal(err)
	}
	c.Eventually("the one that was asked leads", func() error {
		now, _ := cluster.Term(c.Node(other))
		if l := c.Leader(); l != other || now <= term {
			return fmt.Errorf("node %d leads, in term %d", l, now)
		}
		return nil
	})
	if _, err := c.Client().Agent("a").Save(t.Context(), []byte("state")); err != nil {
		t.Errorf("a save after it: %v", err)
	}
}
