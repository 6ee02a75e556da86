// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/cluster/policy"
	"github.com/hawserdb/hawser/cluster/service"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/gossip"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// belong starts what only a member runs, and opens the node for clients.
func (n *Node) belong(ctx context.Context) error {
	c := n.core.Load()
	if err := c.openGossip(ctx); err != nil {
		return err
	}
	c.controller = membership.NewController(membership.ControllerConfig{ //nolint:contextcheck // lives until core.close
		Self: n.id, Raft: c.replica, Progress: c.tracker, Gossip: c.liveness,
		Wanted: n.cfg.Voters, Stabilise: n.cfg.Tuning.Stabilise, Logger: n.part("membership"),
	})
	c.detector = c.newDetector() //nolint:contextcheck // lives until core.close
	c.startHousekeeping()        //nolint:contextcheck // lives until core.close
	n.service.Start(&service.Backend{
		Self: n.id, Machine: n.machine, Gate: c.gate, Proposer: c.proposer, Reads: c.reads, Members: c.manager,
		Leader: c.leader, Term: c.replica.Term, Conn: n.port.Conn, Describe: c.describe,
		Compact: c.compact, Leases: c.leases, Health: c.health, Hub: c.hub, Now: c.now,
	})
	c.catchUp.Start() //nolint:contextcheck // lives until core.close
	close(n.settled)
	return nil
}

func (c *core) openGossip(ctx context.Context) error {
	n := c.node
	id, _ := n.dir.Node().State().Identity()
	pool, err := gossip.Open(gossip.Config{ //nolint:contextcheck // lives until core.close
		ID: n.id, BindAddr: n.cfg.GossipAddr, AdvertiseAddr: n.cfg.gossipAdvertise(), Key: n.gossipKey,
		ClusterLabel: hex.EncodeToString(id[:]), Meta: c.meta(), Seeds: func() []string { return c.gossipSeeds(ctx) },
		RejoinEvery: rejoinEvery, Logger: n.part("gossip"),
	})
	if err != nil {
		return err
	}
	c.pool.Store(pool)
	return nil
}

// rejoinEvery is how often members that gossip misses are looked for. Only
// those are asked, so a complete cluster pays nothing.
const rejoinEvery = 2 * time.Second

// meta is what this node says about itself.
func (c *core) meta() gossip.Meta {
	n := c.node
	id, _ := n.dir.Node().State().Identity()
	applied, _ := n.machine.Applied()
	m := gossip.Meta{
		PeerAddress: n.peerAddr, ClientAddress: n.clientAddr, HTTPAddress: n.httpAddr,
		Leader: c.leads(), Term: c.replica.Term(), AppliedIndex: applied, FeatureLevel: fsm.MaxLevel,
		BootID: n.bootID, Version: n.cfg.Version,
	}
	copy(m.ClusterID[:], id[:])
	if s, ok := n.lastSpace.Load().(space); ok {
		m.FreeBytes = s.free
	}
	if self, member := c.replica.Configuration().Find(n.id); member {
		m.Role = gossip.RoleStandby
		if self.Voter {
			m.Role = gossip.RoleVoter
		}
	}
	return m
}

func (c *core) gossipAddress() string {
	if pool := c.pool.Load(); pool != nil {
		return pool.Address()
	}
	return ""
}

// members returns what gossip lists, by id.
func (c *core) members() map[string]gossip.Member {
	pool := c.pool.Load()
	if pool == nil {
		return nil
	}
	members := map[string]gossip.Member{}
	for _, m := range pool.Members() {
		members[m.ID] = m
	}
	return members
}

// liveness is membership.Gossip.
func (c *core) liveness(id string) policy.Liveness {
	m, listed := c.members()[id]
	if !listed {
		return policy.Unknown
	}
	switch m.Liveness {
	case gossip.Alive:
		return policy.Alive
	case gossip.Dead:
		return policy.Dead
	case gossip.Left:
		return policy.Left
	}
	return policy.Unknown
}

// answered returns the part of gossip's probes of late that a node has answered.
func (c *core) answered(id string) float64 { return c.members()[id].Answered }

// clientAddress returns where the node id serves clients, as far as known.
func (c *core) clientAddress(id string) string {
	if addrs, known := c.addresses.Load(id); known {
		return addrs.(string)
	}
	return ""
}

// compact frees the space of what was removed from the store, and says what
// is on disk.
func (c *core) compact(ctx context.Context) (service.Disk, error) {
	if err := c.node.machine.Compact(ctx); err != nil {
		return service.Disk{}, err
	}
	m, err := c.node.machine.Metrics()
	stats := get(c.replica, (*consensus.Replica).Stats)
	return service.Disk{Engine: int64(m.DiskBytes), Log: stats.LogBytes, LogAppended: stats.AppendedBytes}, err
}

// gossipSeeds asks the members that gossip does not list as alive where they
// gossip.
func (c *core) gossipSeeds(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	alive := c.members()
	var (
		mu    sync.Mutex
		seeds []string
		asks  sync.WaitGroup
	)
	for _, s := range c.node.book.Addresses() {
		if m, listed := alive[s.ID]; s.ID == c.node.id || listed && m.Liveness == gossip.Alive {
			continue
		}
		asks.Go(func() {
			answer, err := c.askTerm(ctx, s.ID, &peerpb.TermRequest{})
			if err != nil || answer.GetGossipAddress() == "" {
				return
			}
			c.addresses.Store(s.ID, answer.GetClientAddress())
			mu.Lock()
			defer mu.Unlock()
			seeds = append(seeds, answer.GetGossipAddress())
		})
	}
	asks.Wait()
	return seeds
}

// learnAddresses takes up what gossip says of the members' addresses.
func (c *core) learnAddresses() error {
	var known []membership.Address
	configuration := c.replica.Configuration()
	for id, m := range c.members() {
		if !m.MetaKnown || m.Liveness != gossip.Alive {
			continue
		}
		c.addresses.Store(id, m.Meta.ClientAddress)
		if _, member := configuration.Find(id); member && id != c.node.id {
			known = append(known, membership.Address{ID: id, Peer: m.Meta.PeerAddress})
		}
	}
	return c.node.book.Learn(known...)
}

// describe is the node's own view of itself and of the cluster.
func (c *core) describe() *hawserv1.StatusResponse {
	n := c.node
	leader := c.replica.Leader()
	gossiped := c.members()
	applied, _ := n.machine.Applied()
	info := n.machine.Info()
	resp := &hawserv1.StatusResponse{
		Ready: n.isReady.Load(), CommitIndex: c.replica.CommitIndex(), AppliedIndex: applied, FeatureLevel: info.Level,
		StartedAt: timestamppb.New(n.started), Agents: info.Agents, Notes: c.notes(),
	}
	if !resp.GetReady() {
		resp.Reason = "no leader is known, or this node has not caught up with it yet"
		if p := c.catchUp.Progress(); p.Source != "" {
			resp.Reason = p.String()
		}
	}
	for _, s := range c.replica.Configuration().Servers {
		m := c.member(s, gossiped[s.ID])
		m.Leader = s.ID == leader
		if s.ID == n.id {
			resp.Self = m
		}
		resp.Members = append(resp.Members, m)
	}
	if resp.GetSelf() == nil {
		resp.Self = c.member(membership.Server{ID: n.id}, gossiped[n.id])
		resp.Self.Role = hawserv1.Role_ROLE_UNSPECIFIED
	}
	return resp
}

func (c *core) notes() []string {
	notes := append(c.controller.Notes(), c.fetchers.notes()...)
	notes = append(notes, c.detector.Notes()...)
	if err := c.auditor.Held(); err != nil {
		notes = append(notes, err.Error())
	}
	if c.storageFull.Load() {
		notes = append(notes, "storage is full: no majority of the voters is above the mark of free disk space; saves are refused")
	}
	if size := get(c.replica, (*consensus.Replica).Stats).LogBytes; size > alarmLogBytes {
		notes = append(notes, fmt.Sprintf("the raft log has %d MiB on this node: it is kept for a member that is behind; bring that member back, or remove it", size>>20))
	}
	return notes
}

func (c *core) member(s membership.Server, g gossip.Member) *hawserv1.Member {
	m := &hawserv1.Member{
		Id: s.ID, Name: membership.NodeName(s.ID), Role: hawserv1.Role_ROLE_STANDBY, GossipAddress: g.GossipAddress,
		PeerAddress: g.Meta.PeerAddress, ClientAddress: g.Meta.ClientAddress, HttpAddress: g.Meta.HTTPAddress,
		AppliedIndex: g.Meta.AppliedIndex, FeatureLevel: g.Meta.FeatureLevel, FreeBytes: g.Meta.FreeBytes, Version: g.Meta.Version,
	}
	if s.Voter {
		m.Role = hawserv1.Role_ROLE_VOTER
	}
	switch g.Liveness {
	case gossip.Alive:
		m.Liveness = hawserv1.Liveness_LIVENESS_ALIVE
	case gossip.Dead:
		m.Liveness = hawserv1.Liveness_LIVENESS_DEAD
	case gossip.Left:
		m.Liveness = hawserv1.Liveness_LIVENESS_LEFT
	}
	if m.GetPeerAddress() == "" {
		m.PeerAddress, _ = c.node.book.Resolve(s.ID)
	}
	if s.ID == c.node.id {
		m.AppliedIndex, _ = c.node.machine.Applied()
	}
	if f, told := c.tracker.Follower(s.ID); told {
		m.AppliedIndex = max(m.GetAppliedIndex(), f.AppliedIndex)
	}
	return m
}
