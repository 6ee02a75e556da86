// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// SessionFromProto returns the session that b names. Errors match
// hawser.ErrInvalid.
func SessionFromProto(b []byte) (hawser.SessionID, error) {
	id := sessionFromNode(b)
	if id.IsZero() {
		return id, &hawser.Error{Code: hawser.CodeInvalid, Op: "session", Msg: "its id has 16 bytes, which are not all zero"}
	}
	return id, nil
}

func sessionFromNode(b []byte) (id hawser.SessionID) {
	if len(b) == len(id) {
		copy(id[:], b)
	}
	return id
}

// MessageToProto returns m as a message.
func MessageToProto(m hawser.Message) *hawserv1.Message {
	out := &hawserv1.Message{
		Agent: AgentToProto(m.Agent), Number: m.Number, Instance: m.Instance, Labels: m.Labels, Payload: m.Payload,
		SentAt: timestamppb.New(m.SentAt), Revision: uint64(m.Revision),
	}
	if m.From.IsZero() {
		out.Session, out.Sequence = m.ID.Session[:], m.ID.Sequence
	} else {
		out.From = RefToProto(m.From)
	}
	return out
}

// MessageFromProto returns the message in a node's answer.
func MessageFromProto(m *hawserv1.Message) hawser.Message {
	return hawser.Message{
		Agent: agentFromNode(m.GetAgent()), Number: m.GetNumber(), From: refFromNode(m.GetFrom()),
		ID:       hawser.MessageID{Session: sessionFromNode(m.GetSession()), Sequence: m.GetSequence()},
		Instance: m.GetInstance(), Labels: m.GetLabels(), Payload: m.GetPayload(),
		SentAt: timeFromProto(m.GetSentAt()), Revision: hawser.Revision(m.GetRevision()),
	}
}
