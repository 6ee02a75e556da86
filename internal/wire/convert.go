// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// AgentToProto returns a as a message.
func AgentToProto(a hawser.AgentID) *hawserv1.Agent {
	return &hawserv1.Agent{Namespace: a.Namespace, Name: a.Name}
}

// AgentFromProto returns the agent that m names, in canonical form. Errors
// match hawser.ErrInvalid.
func AgentFromProto(m *hawserv1.Agent) (hawser.AgentID, error) {
	return hawser.NewAgentID(m.GetNamespace(), m.GetName())
}

// agentFromNode returns the agent in a node's answer, which is canonical.
func agentFromNode(m *hawserv1.Agent) hawser.AgentID {
	return hawser.AgentID{Namespace: m.GetNamespace(), Name: m.GetName()}
}

// RefToProto returns r as a message.
func RefToProto(r hawser.VersionRef) *hawserv1.VersionRef {
	return &hawserv1.VersionRef{Agent: AgentToProto(r.Agent), Number: r.Number}
}

// RefFromProto returns the version that m names; it need not exist. Errors
// match hawser.ErrInvalid.
func RefFromProto(m *hawserv1.VersionRef) (hawser.VersionRef, error) {
	agent, err := AgentFromProto(m.GetAgent())
	if err == nil && m.GetNumber() == 0 {
		err = &hawser.Error{Code: hawser.CodeInvalid, Op: "version", Key: agent.String(), Msg: "needs a number from 1"}
	}
	return hawser.VersionRef{Agent: agent, Number: m.GetNumber()}, err
}

// refFromNode returns the version in a node's answer, the zero value for nil.
func refFromNode(m *hawserv1.VersionRef) hawser.VersionRef {
	if m == nil {
		return hawser.VersionRef{}
	}
	return hawser.VersionRef{Agent: agentFromNode(m.GetAgent()), Number: m.GetNumber()}
}

// RulesToProto returns r as a message.
func RulesToProto(r hawser.Retention) *hawserv1.RetentionRules {
	return &hawserv1.RetentionRules{
		KeepLast: r.KeepLast, KeepWithin: durationpb.New(r.KeepWithin),
		KeepHourly: r.KeepHourly, KeepDaily: r.KeepDaily, KeepWeekly: r.KeepWeekly,
	}
}

// RulesFromProto returns the rules in m; a negative time becomes none.
func RulesFromProto(m *hawserv1.RetentionRules) hawser.Retention {
	return hawser.Retention{
		KeepLast: m.GetKeepLast(), KeepWithin: max(m.GetKeepWithin().AsDuration(), 0),
		KeepHourly: m.GetKeepHourly(), KeepDaily: m.GetKeepDaily(), KeepWeekly: m.GetKeepWeekly(),
	}
}

// VersionToProto returns v as a message.
func VersionToProto(v hawser.Version) *hawserv1.Version {
	m := &hawserv1.Version{
		Number:      v.Number,
		Size:        uint64(v.Size),
		Sha256:      v.SHA256[:],
		Parent:      v.Parent,
		Epoch:       v.Epoch,
		Instance:    v.Instance,
		Labels:      v.Labels,
		ContentType: v.ContentType,
		Schema:      v.Schema,
		Revision:    uint64(v.Revision),
		State:       hawserv1.VersionState(v.State),
		StoredSize:  uint64(v.StoredSize),
		Pinned:      v.Pinned,
		Txn:         v.Txn,
	}
	for _, ref := range v.DerivedFrom {
		m.DerivedFrom = append(m.DerivedFrom, RefToProto(ref))
	}
	if !v.Origin.IsZero() {
		m.Origin = RefToProto(v.Origin)
	}
	if !v.Agent.IsZero() {
		m.Agent = AgentToProto(v.Agent)
	}
	if !v.CreatedAt.IsZero() {
		m.CreatedAt = timestamppb.New(v.CreatedAt)
	}
	return m
}

// VersionFromProto returns the version in a node's answer. A nil m gives the
// zero Version.
func VersionFromProto(m *hawserv1.Version) hawser.Version {
	if m == nil {
		return hawser.Version{}
	}
	v := hawser.Version{
		Agent:       agentFromNode(m.GetAgent()),
		Number:      m.GetNumber(),
		Size:        int64(m.GetSize()),
		Parent:      m.GetParent(),
		Epoch:       m.GetEpoch(),
		Instance:    m.GetInstance(),
		Labels:      m.GetLabels(),
		ContentType: m.GetContentType(),
		Schema:      m.GetSchema(),
		CreatedAt:   timeFromProto(m.GetCreatedAt()),
		Revision:    hawser.Revision(m.GetRevision()),
		State:       hawser.VersionState(m.GetState()),
		StoredSize:  int64(m.GetStoredSize()),
		Pinned:      m.GetPinned(),
		Txn:         m.GetTxn(),
		Origin:      refFromNode(m.GetOrigin()),
	}
	for _, ref := range m.GetDerivedFrom() {
		v.DerivedFrom = append(v.DerivedFrom, refFromNode(ref))
	}
	copy(v.SHA256[:], m.GetSha256())
	return v
}

func timeFromProto(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// AgentInfoToProto returns a as a message.
func AgentInfoToProto(a hawser.Agent) *hawserv1.AgentInfo {
	m := &hawserv1.AgentInfo{
		Agent:      AgentToProto(a.ID),
		Head:       a.Head,
		Versions:   a.Versions,
		StoredSize: uint64(a.StoredSize),
		CreatedAt:  timestamppb.New(a.CreatedAt),
		Epoch:      a.Epoch,
		Owner:      a.Owner,
		Fenced:     a.Fenced,
	}
	if a.Version != nil {
		m.Version = VersionToProto(*a.Version)
	}
	return m
}

// AgentInfoFromProto returns the agent in a node's answer.
func AgentInfoFromProto(m *hawserv1.AgentInfo) hawser.Agent {
	a := hawser.Agent{
		ID:         agentFromNode(m.GetAgent()),
		Head:       m.GetHead(),
		Versions:   m.GetVersions(),
		StoredSize: int64(m.GetStoredSize()),
		CreatedAt:  timeFromProto(m.GetCreatedAt()),
		Epoch:      m.GetEpoch(),
		Owner:      m.GetOwner(),
		Fenced:     m.GetFenced(),
	}
	if m.GetVersion() != nil {
		v := VersionFromProto(m.GetVersion())
		a.Version = &v
	}
	return a
}

// RequestToProto returns the part of id that is not in the request itself.
// attempt is 0 for the first sending.
func RequestToProto(id hawser.RequestID, attempt uint32) *hawserv1.RequestID {
	return &hawserv1.RequestID{
		Nonce: id.Nonce[:], Generation: uint64(id.Generation), Seen: id.Seen, Attempt: attempt,
	}
}

// RequestFromProto rebuilds the id of a request of this kind, agent and
// condition. Errors match hawser.ErrInvalid.
func RequestFromProto(m *hawserv1.RequestID, kind hawser.RequestKind, agent hawser.AgentID, expect *uint64) (hawser.RequestID, error) {
	id := hawser.RequestID{
		Kind: kind, Agent: agent, Generation: hawser.Generation(m.GetGeneration()), Seen: m.GetSeen(), Expect: expect,
	}
	if len(m.GetNonce()) != len(id.Nonce) {
		return id, &hawser.Error{
			Code: hawser.CodeInvalid, Op: kind.String(), Key: agent.String(), Msg: "needs a request id with a nonce of 16 bytes",
		}
	}
	copy(id.Nonce[:], m.GetNonce())
	return id, nil
}
