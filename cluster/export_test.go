// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"github.com/hawserdb/hawser"
)

// Halt makes n stop itself, as a part of it that failed would.
func Halt(n *Node, err error) { n.halt(err) }

// Digest is the digest of n's state.
func Digest(ctx context.Context, n *Node) (hawser.Hash, error) { return n.machine.Digest(ctx) }
