// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package rendezvous ranks nodes for keys by rendezvous hashing (Thaler and
// Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions
// on Networking 6, 1998): each key goes to the node with which it hashes highest, so
// that when a node goes only its keys move. All processes come to the same.
package rendezvous

import (
	"crypto/sha256"
	"encoding/binary"
)

// Weight is that of a node for a key. It is the same in every process.
func Weight(key, node string) uint64 {
	sum := sha256.Sum256([]byte(node + "\x00" + key))
	return binary.LittleEndian.Uint64(sum[:])
}
