// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// PreparedID is the name under which a participant prepares its part of a
// transaction in a resource that does two-phase commit itself, such as
// PostgreSQL's PREPARE TRANSACTION. It says all that is needed to find out later
// what became of it, by whoever finds it: which cluster, which life of it, which
// transaction, which agent, and under which ownership.
//
// What is prepared under the epoch that the decision counts is committed or
// rolled back as decided; under every other epoch it is void and is rolled
// back.
type PreparedID struct {
	// Cluster is the beginning of the cluster's id, 8 hex digits.
	Cluster    string
	Generation Generation
	// Txn is the transaction's id without the namespace, which Agent covers.
	Txn string
	// Agent is the beginning of the SHA-256 of namespace/name, 16 hex digits.
	Agent string
	// Epoch under which the participant owns its agent, 0 for none.
	Epoch uint64
}

// NewPreparedID returns the id for an agent's part of a transaction.
func NewPreparedID(cluster [16]byte, generation Generation, txn TxnID, agent AgentID, epoch uint64) PreparedID {
	return PreparedID{Cluster: hex.EncodeToString(cluster[:4]), Generation: generation, Txn: txn.ID, Agent: agentMark(agent), Epoch: epoch}
}

func agentMark(agent AgentID) string {
	sum := sha256.Sum256([]byte(agent.String()))
	return hex.EncodeToString(sum[:8])
}

const preparedPrefix = "hawser"

// String returns "hawser:cluster:generation:txn:agent:epoch", at most 150 bytes
// of letters, digits, ':', '-', '_' and '.'.
func (p PreparedID) String() string {
	return strings.Join([]string{
		preparedPrefix, p.Cluster, strconv.FormatUint(uint64(p.Generation), 10), p.Txn, p.Agent, strconv.FormatUint(p.Epoch, 10),
	}, ":")
}

// ParsePreparedID reads what [PreparedID.String] wrote. Errors match
// [ErrInvalid]: it is somebody else's, and none of Hawser's business.
func ParsePreparedID(s string) (PreparedID, error) {
	fields := strings.Split(s, ":")
	if len(fields) != 6 || fields[0] != preparedPrefix {
		return PreparedID{}, invalid("prepared id", shorten(s), "is not one of Hawser's")
	}
	generation, err := strconv.ParseUint(fields[2], 10, 64)
	epoch, epochErr := strconv.ParseUint(fields[5], 10, 64)
	p := PreparedID{Cluster: fields[1], Generation: Generation(generation), Txn: fields[3], Agent: fields[4], Epoch: epoch}
	if err != nil || epochErr != nil || !isHex(p.Cluster, 8) || !isHex(p.Agent, 16) || p.String() != s || (TxnID{DefaultNamespace, p.Txn}).Check() != nil {
		return PreparedID{}, invalid("prepared id", shorten(s), "is not one of Hawser's")
	}
	return p, nil
}

func isHex(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(s) == n && hex.EncodeToString(b) == s
}

// Of reports whether it is for an agent of a cluster.
func (p PreparedID) Of(cluster [16]byte, agent AgentID) bool {
	return p.Cluster == hex.EncodeToString(cluster[:4]) && p.Agent == agentMark(agent)
}
