// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"encoding/hex"
	"fmt"

	"github.com/hawserdb/hawser"
)

// MaxNodeID is the longest node id in bytes.
const MaxNodeID = 64

// Identity says who a node is. On the accepting side of a connection it is
// what the other side claimed and, by the secret, may claim.
type Identity struct {
	// ClusterID is the cluster of the node; zero for none yet.
	ClusterID [16]byte
	// NodeID is the ServerID: 1 to [MaxNodeID] bytes of printable ASCII
	// without spaces.
	NodeID string
	// BootID is a random number of the process, 0 for unknown.
	BootID uint64
}

// HasCluster reports whether the node belongs to a cluster.
func (i Identity) HasCluster() bool { return i.ClusterID != [16]byte{} }

// String returns the identity for logs and errors.
func (i Identity) String() string {
	return fmt.Sprintf("%s of %s", i.NodeID, clusterName(i.ClusterID))
}

func clusterName(id [16]byte) string {
	if id == [16]byte{} {
		return "no cluster"
	}
	return "cluster " + hex.EncodeToString(id[:])
}

func checkNodeID(id string) error {
	bad := func(why string) error {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "node id", Key: id[:min(len(id), MaxNodeID)], Msg: why}
	}
	switch {
	case id == "":
		return bad("is empty")
	case len(id) > MaxNodeID:
		return bad(fmt.Sprintf("is longer than %d bytes", MaxNodeID))
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return bad("may hold only printable ASCII without spaces")
		}
	}
	return nil
}
