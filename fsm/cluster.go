// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"

	"github.com/hawserdb/hawser"
)

// apply notes the leader, and at the first time of all what cluster this is.
// Neither is visible to users, so there is no new revision.
func (l *LeaderStart) apply(c *changes) (Result, error) {
	none := [16]byte{}
	switch {
	case l.ClusterID == none:
		return c.refuse(invalidCommand("leader start", "it names no cluster"))
	case c.state.cluster == none:
		c.state.cluster, c.state.generation = l.ClusterID, l.Generation
	case c.state.cluster != l.ClusterID:
		return c.refuse(&hawser.Error{
			Code: hawser.CodeRefused, Op: "leader start", Key: l.Node,
			Msg: fmt.Sprintf("the node is of cluster %x, the data of cluster %x", l.ClusterID, c.state.cluster),
		})
	}
	c.state.leaderTerm, c.state.leaderNode = l.Term, l.Node
	return c.result(), nil
}

// apply raises the feature level; it never falls. A level that this binary
// does not know stops the replica.
func (l *RaiseLevel) apply(c *changes) (Result, error) {
	if l.Level > c.maxLevel {
		return Result{}, levelError(fmt.Errorf("the cluster goes to feature level %d, this binary knows levels up to %d", l.Level, c.maxLevel))
	}
	c.state.level = max(c.state.level, l.Level)
	return c.result(), nil
}
