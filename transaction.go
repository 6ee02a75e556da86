// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"encoding/hex"
	"fmt"
	"time"
)

// TxnState says how far a transaction has come. Values are stored and cross the
// network: append only.
type TxnState uint8

const (
	// TxnPending waits for votes.
	TxnPending TxnState = iota + 1
	// TxnPrepared has all votes and waits for its initiator, who asked to
	// decide itself.
	TxnPrepared
	// TxnCommitted is decided: every staged state is a version.
	TxnCommitted
	// TxnAborted is decided: nothing of it remains.
	TxnAborted
)

var txnStateNames = [...]string{TxnPending: "PENDING", TxnPrepared: "PREPARED", TxnCommitted: "COMMITTED", TxnAborted: "ABORTED"}

// String returns the state as the command line prints it, such as "COMMITTED".
func (s TxnState) String() string {
	if s > 0 && int(s) < len(txnStateNames) {
		return txnStateNames[s]
	}
	return fmt.Sprintf("TXN_STATE_%d", uint8(s))
}

// Decided reports whether the transaction is committed or aborted, which never
// changes.
func (s TxnState) Decided() bool { return s == TxnCommitted || s == TxnAborted }

// Vote is what a participant has said of a transaction. Values are stored and
// cross the network: append only.
type Vote uint8

const (
	// VoteNone has not been cast.
	VoteNone Vote = iota
	// VoteYes is a promise to do what the decision says.
	VoteYes
	// VoteNo aborts the transaction.
	VoteNo
)

// String returns "none", "yes" or "no".
func (v Vote) String() string {
	switch v {
	case VoteNone:
		return "none"
	case VoteYes:
		return "yes"
	case VoteNo:
		return "no"
	}
	return fmt.Sprintf("vote %d", uint8(v))
}

// TxnID names a transaction. Whoever begins it makes the id: 1 to 64 bytes of
// letters, digits, '-', '_' and '.', unique in its namespace.
type TxnID struct{ Namespace, ID string }

// NewTxnID returns a random id in a namespace, [DefaultNamespace] if that is
// empty.
func NewTxnID(namespace string) TxnID {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	n := NewNonce()
	return TxnID{Namespace: namespace, ID: hex.EncodeToString(n[:])}
}

// String returns "namespace/id".
func (t TxnID) String() string { return t.Namespace + "/" + t.ID }

// IsZero reports whether t names nothing.
func (t TxnID) IsZero() bool { return t == TxnID{} }

// Check returns an error that matches [ErrInvalid] unless t is well formed.
func (t TxnID) Check() error {
	if err := CheckNamespace(t.Namespace); err != nil {
		return err
	}
	if t.ID == "" || len(t.ID) > MaxTxnID {
		return invalid("transaction id", shorten(t.ID), fmt.Sprintf("has %d bytes; 1 to %d are possible", len(t.ID), MaxTxnID))
	}
	for i := range len(t.ID) {
		switch c := t.ID[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return invalid("transaction id", t.ID, "may hold only letters, digits, '-', '_' and '.'")
		}
	}
	return nil
}

// Limits of transactions.
const (
	// MaxTxnID is the longest id of a transaction in bytes.
	MaxTxnID = 64
	// MaxParticipants is the most agents of one transaction.
	MaxParticipants = 64
	// MaxTxnPayload bounds what a transaction tells its participants, all of it
	// together, in bytes.
	MaxTxnPayload = 128 << 10
	// DefaultTxnTimeout is how long a transaction may stay undecided when its
	// initiator says nothing else; MaxTxnTimeout is the most.
	DefaultTxnTimeout = 10 * time.Second
	MaxTxnTimeout     = 10 * time.Minute
	// MaxOpenTxns is the most transactions of a namespace that are undecided or
	// wait for an acknowledgement.
	MaxOpenTxns = 10_000
	// MaxQueuedTxns is the most undecided transactions of one agent.
	MaxQueuedTxns = 1_000
	// MaxStagedVotes bounds the states that votes have staged in a namespace, in
	// bytes as stored.
	MaxStagedVotes = 1 << 30
)

// TxnInfo describes a transaction.
type TxnInfo struct {
	ID    TxnID
	State TxnState
	// Done is set once every participant has acknowledged the decision.
	Done bool
	// Manual is set when the initiator decides.
	Manual bool
	// BegunAt, DeadlineAt and DecidedAt are on the cluster's clock; at the
	// deadline an undecided transaction is aborted.
	BegunAt, DeadlineAt, DecidedAt time.Time
	// Reason says why it was aborted.
	Reason string
	// Revision at which it was decided, 0 before.
	Revision     Revision
	Participants []TxnParticipant
	// Kept is set for one that was resolved by hand: it stays until somebody
	// forgets it.
	Kept bool
}

// TxnParticipant is one agent of a transaction.
type TxnParticipant struct {
	Agent AgentID
	Vote  Vote
	// Reason says why it voted no, or why it was resolved.
	Reason string
	// Epoch is that under which it voted, 0 for none: the one that counts. What
	// an external resource has prepared under another one is void; see
	// [PreparedID].
	Epoch uint64
	// Version that it became, 0 before the commit and for a participant whose
	// state did not change.
	Version uint64
	// Acknowledged is set once the participant has done what the decision
	// says; Resolved when somebody else said so.
	Acknowledged, Resolved bool
	// Waiting names the transaction that its agent decides first, zero when it
	// is this one's turn or it has voted.
	Waiting TxnID
}
