// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// TxnIDToProto returns id as a message.
func TxnIDToProto(id hawser.TxnID) *hawserv1.TransactionID {
	return &hawserv1.TransactionID{Namespace: id.Namespace, Id: id.ID}
}

// TxnIDFromProto returns the transaction that m names. Errors match
// hawser.ErrInvalid.
func TxnIDFromProto(m *hawserv1.TransactionID) (hawser.TxnID, error) {
	id := txnIDFromNode(m)
	if id.Namespace == "" {
		id.Namespace = hawser.DefaultNamespace
	}
	return id, id.Check()
}

func txnIDFromNode(m *hawserv1.TransactionID) hawser.TxnID {
	return hawser.TxnID{Namespace: m.GetNamespace(), ID: m.GetId()}
}

// TxnToProto returns t as a message.
func TxnToProto(t hawser.TxnInfo) *hawserv1.Transaction {
	m := &hawserv1.Transaction{
		Id: TxnIDToProto(t.ID), State: hawserv1.TransactionState(t.State), Done: t.Done, Manual: t.Manual, BegunAt: timestamppb.New(t.BegunAt),
		DeadlineAt: timestamppb.New(t.DeadlineAt), Reason: t.Reason, Revision: uint64(t.Revision), Kept: t.Kept,
	}
	if !t.DecidedAt.IsZero() {
		m.DecidedAt = timestamppb.New(t.DecidedAt)
	}
	for _, p := range t.Participants {
		m.Participants = append(m.Participants, &hawserv1.TransactionParticipant{
			Agent: AgentToProto(p.Agent), Vote: hawserv1.TransactionVote(p.Vote), Reason: p.Reason, Epoch: p.Epoch, Version: p.Version,
			Acknowledged: p.Acknowledged, Resolved: p.Resolved, WaitingFor: p.Waiting.ID,
		})
	}
	return m
}

// TxnFromProto returns the transaction in a node's answer.
func TxnFromProto(m *hawserv1.Transaction) hawser.TxnInfo {
	t := hawser.TxnInfo{
		ID: txnIDFromNode(m.GetId()), State: hawser.TxnState(m.GetState()), Done: m.GetDone(), Manual: m.GetManual(), BegunAt: timeFromProto(m.GetBegunAt()),
		DeadlineAt: timeFromProto(m.GetDeadlineAt()), Reason: m.GetReason(), Revision: hawser.Revision(m.GetRevision()), Kept: m.GetKept(),
	}
	if m.GetDecidedAt() != nil {
		t.DecidedAt = timeFromProto(m.GetDecidedAt())
	}
	for _, p := range m.GetParticipants() {
		participant := hawser.TxnParticipant{
			Agent: agentFromNode(p.GetAgent()), Vote: hawser.Vote(p.GetVote()), Reason: p.GetReason(), Epoch: p.GetEpoch(), Version: p.GetVersion(),
			Acknowledged: p.GetAcknowledged(), Resolved: p.GetResolved(),
		}
		if p.GetWaitingFor() != "" {
			participant.Waiting = hawser.TxnID{Namespace: t.ID.Namespace, ID: p.GetWaitingFor()}
		}
		t.Participants = append(t.Participants, participant)
	}
	return t
}

// TimeFromProto returns a moment on the cluster's clock in unix nanoseconds, 0
// for none and for one that cannot be.
func TimeFromProto(m *timestamppb.Timestamp) int64 {
	if m == nil || !m.IsValid() {
		return 0
	}
	t := m.AsTime()
	if t.Before(time.Unix(0, 0)) || t.Year() > 2200 {
		return 0
	}
	return t.UnixNano()
}
