// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"github.com/hawserdb/hawser/client"
)

// memberView is a node as JSON. Keys are stable: add, never rename.
type memberView struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Role          string `json:"role"`
	Leader        bool   `json:"leader"`
	Liveness      string `json:"liveness"`
	ClientAddress string `json:"client_address"`
	PeerAddress   string `json:"peer_address"`
	GossipAddress string `json:"gossip_address"`
	HTTPAddress   string `json:"http_address"`
	AppliedIndex  uint64 `json:"applied_index"`
	FreeBytes     uint64 `json:"free_bytes"`
	FeatureLevel  uint32 `json:"feature_level"`
	Version       string `json:"version"`
}

func viewMember(m client.Member) memberView {
	return memberView{
		ID: m.ID, Name: m.Name, Role: m.Role.String(), Leader: m.Leader, Liveness: m.Liveness.String(),
		ClientAddress: m.ClientAddress, PeerAddress: m.PeerAddress, GossipAddress: m.GossipAddress, HTTPAddress: m.HTTPAddress,
		AppliedIndex: m.AppliedIndex, FreeBytes: m.FreeBytes, FeatureLevel: m.FeatureLevel, Version: m.Version,
	}
}

func viewMembers(members []client.Member) []memberView {
	views := make([]memberView, len(members))
	for i, m := range members {
		views[i] = viewMember(m)
	}
	return views
}

// statusView is a node's idea of its cluster as JSON.
type statusView struct {
	Node          string       `json:"node"`
	Ready         bool         `json:"ready"`
	Reason        string       `json:"reason"`
	ClusterID     string       `json:"cluster_id"`
	Generation    uint64       `json:"generation"`
	Revision      uint64       `json:"revision"`
	MachineTime   string       `json:"machine_time"`
	Leader        string       `json:"leader"`
	LeaderAddress string       `json:"leader_address"`
	Term          uint64       `json:"term"`
	CommitIndex   uint64       `json:"commit_index"`
	AppliedIndex  uint64       `json:"applied_index"`
	FeatureLevel  uint32       `json:"feature_level"`
	StartedAt     string       `json:"started_at"`
	Agents        uint64       `json:"agents"`
	Members       []memberView `json:"members"`
	Notes         []string     `json:"notes"`
}

func viewStatus(s client.Status) statusView {
	notes := s.Notes
	if notes == nil {
		notes = []string{}
	}
	return statusView{
		Node: s.Self.ID, Ready: s.Ready, Reason: s.Reason, ClusterID: s.ClusterID, Generation: uint64(s.Generation),
		Revision: uint64(s.Revision), MachineTime: timestamp(s.MachineTime), Leader: s.Leader, LeaderAddress: s.LeaderAddress,
		Term: s.Term, CommitIndex: s.CommitIndex, AppliedIndex: s.AppliedIndex, FeatureLevel: s.FeatureLevel,
		StartedAt: timestamp(s.StartedAt), Agents: s.Agents, Members: viewMembers(s.Members), Notes: notes,
	}
}

// printMembers prints nodes as a table. A node's lag is how many entries of
// the log it is behind the one that is furthest; nodes tell it now and then,
// so a small lag is the age of what they told.
func (p *program) printMembers(members []client.Member, furthest uint64) error {
	for _, m := range members {
		furthest = max(furthest, m.AppliedIndex)
	}
	t := newTable("NAME", "ID", "ROLE", "LEADER", "LIVENESS", "CLIENTS", "PEERS", "GOSSIP", "HTTP", "APPLIED", "LAG")
	for _, m := range members {
		leader, lag := "", ""
		if m.Leader {
			leader = "*"
		}
		if m.AppliedIndex > 0 {
			lag = strconv.FormatUint(furthest-m.AppliedIndex, 10)
		}
		t.add(m.Name, m.ID, m.Role.String(), leader, m.Liveness.String(),
			m.ClientAddress, m.PeerAddress, m.GossipAddress, m.HTTPAddress, optional(m.AppliedIndex), lag)
	}
	return t.write(p.stdout)
}
