// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Role says whether a node votes.
type Role uint8

const (
	// RoleVoter votes.
	RoleVoter Role = iota + 1
	// RoleStandby replicates without a vote.
	RoleStandby
)

// String returns "voter" or "standby".
func (r Role) String() string {
	switch r {
	case RoleVoter:
		return "voter"
	case RoleStandby:
		return "standby"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Liveness is what the other nodes say of a node: a hint.
type Liveness uint8

const (
	// LivenessAlive answers.
	LivenessAlive Liveness = iota + 1
	// LivenessSuspect has not answered for a moment.
	LivenessSuspect
	// LivenessDead does not answer.
	LivenessDead
	// LivenessLeft said good-bye.
	LivenessLeft
)

// String returns the liveness in words.
func (l Liveness) String() string {
	switch l {
	case LivenessAlive:
		return "alive"
	case LivenessSuspect:
		return "suspect"
	case LivenessDead:
		return "dead"
	case LivenessLeft:
		return "left"
	}
	return "unknown"
}

// Member is a node of the cluster.
type Member struct {
	// ID is the node's own, "name-xxxxxxxx", made with its data directory.
	ID       string
	Name     string
	Role     Role
	Leader   bool
	Liveness Liveness
	// The addresses, host:port; empty when they are not known.
	PeerAddress   string
	ClientAddress string
	GossipAddress string
	HTTPAddress   string
	// AppliedIndex is how far the node was when it last told.
	AppliedIndex uint64
	FeatureLevel uint32
	FreeBytes    uint64
	// Version is that of its program.
	Version string
}

// Status describes a node and what it knows of its cluster.
type Status struct {
	Self    Member
	Members []Member
	// Ready: the node knows a leader and has caught up. Reason says why not.
	Ready  bool
	Reason string
	// ClusterID is 32 hex digits, empty before the cluster was made.
	ClusterID  string
	Generation hawser.Generation
	Revision   hawser.Revision
	// MachineTime is the cluster's clock.
	MachineTime time.Time
	// Leader and LeaderAddress are the leader's id and client address, empty
	// when the node knows none.
	Leader        string
	LeaderAddress string
	Term          uint64
	CommitIndex   uint64
	AppliedIndex  uint64
	FeatureLevel  uint32
	StartedAt     time.Time
	Agents        uint64
	// Notes say what the cluster is about to do about its members, or why not.
	Notes []string
}

func statusFromProto(m *hawserv1.StatusResponse) Status {
	h := m.GetHeader()
	s := Status{
		Self:          memberFromProto(m.GetSelf()),
		Members:       convert(m.GetMembers(), memberFromProto),
		Ready:         m.GetReady(),
		Reason:        m.GetReason(),
		ClusterID:     hex.EncodeToString(h.GetClusterId()),
		Generation:    hawser.Generation(h.GetGeneration()),
		Revision:      hawser.Revision(h.GetRevision()),
		Leader:        h.GetLeader(),
		LeaderAddress: h.GetLeaderAddress(),
		Term:          h.GetTerm(),
		CommitIndex:   m.GetCommitIndex(),
		AppliedIndex:  m.GetAppliedIndex(),
		FeatureLevel:  m.GetFeatureLevel(),
		Agents:        m.GetAgents(),
		Notes:         m.GetNotes(),
	}
	if t := h.GetMachineTime(); t != nil {
		s.MachineTime = t.AsTime()
	}
	if t := m.GetStartedAt(); t != nil {
		s.StartedAt = t.AsTime()
	}
	return s
}

func memberFromProto(m *hawserv1.Member) Member {
	return Member{
		ID: m.GetId(), Name: m.GetName(),
		Role: Role(m.GetRole()), Leader: m.GetLeader(), Liveness: Liveness(m.GetLiveness()),
		PeerAddress: m.GetPeerAddress(), ClientAddress: m.GetClientAddress(),
		GossipAddress: m.GetGossipAddress(), HTTPAddress: m.GetHttpAddress(),
		AppliedIndex: m.GetAppliedIndex(), FeatureLevel: m.GetFeatureLevel(), FreeBytes: m.GetFreeBytes(),
		Version: m.GetVersion(),
	}
}
