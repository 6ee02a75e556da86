// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// EffectToProto returns e as a message.
func EffectToProto(e hawser.Effect) *hawserv1.Effect {
	m := &hawserv1.Effect{
		Agent: AgentToProto(e.Agent), Id: e.ID, State: hawserv1.EffectState(e.State), Policy: hawserv1.EffectPolicy(e.Policy), Key: e.Key,
		Description: e.Description, Attempts: e.Attempts, Instance: e.Instance, Epoch: e.Epoch, Head: e.Head, BegunAt: timestamppb.New(e.BegunAt),
		Version: e.Version, Reason: e.Reason, Resolved: e.Resolved, Result: e.Result, ResultSize: uint64(e.ResultSize), Revision: uint64(e.Revision),
		Inherited: e.Inherited,
	}
	if e.Input != (hawser.Hash{}) {
		m.Input = e.Input[:]
	}
	if !e.FinishedAt.IsZero() {
		m.FinishedAt = timestamppb.New(e.FinishedAt)
	}
	return m
}

// EffectFromProto returns the effect in a node's answer.
func EffectFromProto(m *hawserv1.Effect) hawser.Effect {
	e := hawser.Effect{
		Agent: agentFromNode(m.GetAgent()), ID: m.GetId(), State: hawser.EffectState(m.GetState()), Policy: hawser.EffectPolicy(m.GetPolicy()), Key: m.GetKey(),
		Description: m.GetDescription(), Attempts: m.GetAttempts(), Instance: m.GetInstance(), Epoch: m.GetEpoch(), Head: m.GetHead(),
		BegunAt: timeFromProto(m.GetBegunAt()), Version: m.GetVersion(), Reason: m.GetReason(), Resolved: m.GetResolved(), Result: m.GetResult(),
		ResultSize: int64(m.GetResultSize()), Revision: hawser.Revision(m.GetRevision()), Inherited: m.GetInherited(),
	}
	if len(m.GetInput()) == len(e.Input) {
		e.Input = hawser.Hash(m.GetInput())
	}
	if m.GetFinishedAt() != nil {
		e.FinishedAt = timeFromProto(m.GetFinishedAt())
	}
	return e
}
