// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// CutToProto returns c as a message.
func CutToProto(c hawser.Cut) *hawserv1.Cut {
	m := &hawserv1.Cut{
		Name: AgentToProto(c.Name), Label: c.Label, ByPrefix: c.ByPrefix, Prefix: c.Prefix, CreatedAt: timestamppb.New(c.CreatedAt),
		Revision: uint64(c.Revision), Size: uint32(c.Size), RolledBack: c.RolledBack,
	}
	for _, a := range c.Agents {
		m.Agents = append(m.Agents, &hawserv1.CutAgent{Agent: AgentToProto(a.Agent), Number: a.Number, Problem: a.Problem})
	}
	for _, b := range c.Rollbacks {
		m.Rollbacks = append(m.Rollbacks, &hawserv1.CutRollback{
			Nonce: b.Nonce[:], Revision: uint64(b.Revision), Time: timestamppb.New(b.Time), Instance: b.Instance, Reason: b.Reason,
			Size: uint32(b.Size), LeftOut: uint32(b.LeftOut),
		})
	}
	return m
}

// CutFromProto returns the cut in a node's answer.
func CutFromProto(m *hawserv1.Cut) hawser.Cut {
	c := hawser.Cut{
		Name: agentFromNode(m.GetName()), Label: m.GetLabel(), ByPrefix: m.GetByPrefix(), Prefix: m.GetPrefix(), CreatedAt: timeFromProto(m.GetCreatedAt()),
		Revision: hawser.Revision(m.GetRevision()), Size: int(m.GetSize()), RolledBack: m.GetRolledBack(),
	}
	for _, a := range m.GetAgents() {
		c.Agents = append(c.Agents, hawser.CutAgent{Agent: agentFromNode(a.GetAgent()), Number: a.GetNumber(), Problem: a.GetProblem()})
	}
	for _, b := range m.GetRollbacks() {
		back := hawser.CutRollback{
			Revision: hawser.Revision(b.GetRevision()), Time: timeFromProto(b.GetTime()), Instance: b.GetInstance(), Reason: b.GetReason(),
			Size: int(b.GetSize()), LeftOut: int(b.GetLeftOut()),
		}
		copy(back.Nonce[:], b.GetNonce())
		c.Rollbacks = append(c.Rollbacks, back)
	}
	return c
}

// AgentRollbackToProto returns a as a message.
func AgentRollbackToProto(a hawser.AgentRollback) *hawserv1.AgentRollback {
	return &hawserv1.AgentRollback{
		Agent: AgentToProto(a.Agent), Number: a.Number, Head: a.Head, Made: a.Made, Epoch: a.Epoch, Owner: a.Owner, Txns: a.Txns, Problem: a.Problem,
	}
}

// AgentRollbackFromProto returns what a node says of one agent.
func AgentRollbackFromProto(m *hawserv1.AgentRollback) hawser.AgentRollback {
	return hawser.AgentRollback{
		Agent: agentFromNode(m.GetAgent()), Number: m.GetNumber(), Head: m.GetHead(), Made: m.GetMade(), Epoch: m.GetEpoch(),
		Owner: m.GetOwner(), Txns: m.GetTxns(), Problem: m.GetProblem(),
	}
}
