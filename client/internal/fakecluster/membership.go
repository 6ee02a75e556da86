// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// membership is the Cluster service of one node.
type membership struct {
	hawserv1.UnimplementedClusterServer
	node *node
}

func (c *Cluster) memberLocked(i int) *hawserv1.Member {
	m := &hawserv1.Member{
		Id: nodeID(i), Name: fmt.Sprintf("n%d", i+1), Role: hawserv1.Role_ROLE_VOTER, Leader: c.leader == i,
		Liveness: hawserv1.Liveness_LIVENESS_ALIVE, ClientAddress: c.nodes[i].advertised,
	}
	if c.nodes[i].listener == nil {
		m.Liveness = hawserv1.Liveness_LIVENESS_DEAD
	}
	return m
}

func (c *Cluster) membersLocked() []*hawserv1.Member {
	var members []*hawserv1.Member
	for i := range c.nodes {
		members = append(members, c.memberLocked(i))
	}
	return members
}

// Status implements hawserv1.ClusterServer.
func (m *membership) Status(context.Context, *hawserv1.StatusRequest) (*hawserv1.StatusResponse, error) {
	c := m.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	resp := &hawserv1.StatusResponse{
		Header: m.node.headerLocked(), Self: c.memberLocked(m.node.index), Members: c.membersLocked(),
		Ready: c.leader >= 0, FeatureLevel: 1, Agents: uint64(len(c.agents)),
	}
	if !resp.GetReady() {
		resp.Reason = "the cluster has no leader"
	}
	return resp, nil
}

// Members implements hawserv1.ClusterServer.
func (m *membership) Members(context.Context, *hawserv1.MembersRequest) (*hawserv1.MembersResponse, error) {
	c := m.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	return &hawserv1.MembersResponse{Header: m.node.headerLocked(), Members: c.membersLocked()}, nil
}

// Promote implements hawserv1.ClusterServer.
func (m *membership) Promote(context.Context, *hawserv1.PromoteRequest) (*hawserv1.PromoteResponse, error) {
	c := m.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	return &hawserv1.PromoteResponse{Header: m.node.headerLocked()}, nil
}

// Remove implements hawserv1.ClusterServer.
func (m *membership) Remove(_ context.Context, r *hawserv1.RemoveRequest) (*hawserv1.RemoveResponse, error) {
	c := m.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.GetForce() {
		return nil, refuse(&hawser.Error{Code: hawser.CodeRefused, Op: "remove", Key: r.GetNode(), Msg: "too few voters would be left"})
	}
	return &hawserv1.RemoveResponse{Header: m.node.headerLocked()}, nil
}

// TransferLeadership implements hawserv1.ClusterServer.
func (m *membership) TransferLeadership(_ context.Context, r *hawserv1.TransferLeadershipRequest) (*hawserv1.TransferLeadershipResponse, error) {
	c := m.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.nodes {
		if (r.GetNode() == "" && i != c.leader) || r.GetNode() == nodeID(i) {
			c.leader = i
			c.term++
			break
		}
	}
	return &hawserv1.TransferLeadershipResponse{Header: m.node.headerLocked()}, nil
}
