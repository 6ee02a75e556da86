// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
)

// Halt makes n stop itself, as a part of it that failed would.
func Halt(n *Node, err error) { n.halt(err) }

// Digest is the digest of n's state.
func Digest(ctx context.Context, n *Node) (hawser.Hash, error) { return n.machine.Digest(ctx) }

// AskToStand has n ask another node to stand for election against the leader of a
// term, as a leader that does badly does.
func AskToStand(ctx context.Context, n *Node, voter string, term uint64) error {
	c, err := n.joined()
	if err != nil {
		return err
	}
	return c.askToStand(ctx, voter, term)
}

// Term is the term of n's raft, and ID how others know it.
func Term(n *Node) (term uint64, id string) {
	c, err := n.joined()
	if err != nil {
		return 0, n.id
	}
	return get(c.replica, (*consensus.Replica).Standing).Term, n.id
}
