// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

// Halt makes n stop itself, as a part of it that failed would.
func Halt(n *Node, err error) { n.halt(err) }
