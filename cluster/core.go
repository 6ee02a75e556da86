// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hawserdb/hawser/cluster/audit"
	"github.com/hawserdb/hawser/cluster/catchup"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/detect"
	"github.com/hawserdb/hawser/cluster/health"
	"github.com/hawserdb/hawser/cluster/lease"
	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/cluster/propose"
	"github.com/hawserdb/hawser/cluster/read"
	"github.com/hawserdb/hawser/cluster/scrub"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/gossip"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/rebuild"
	"github.com/hawserdb/hawser/internal/wire"
)

// core is what of a node takes part in a cluster. It runs from the start, so
// that raft can answer as soon as there is a promise; gossip, controller and
// janitor start once the node belongs to the cluster (belong).
type core struct {
	node     *Node
	replica  *replica
	clock    *propose.Clock
	proposer *propose.Proposer
	reads    *read.Indexer
	disks    *diskWatch
	tracker  *membership.Tracker
	manager  *membership.Manager
	taker    *membership.Taker
	elders   *elders
	source   *catchup.Source
	catchUp  *catchup.CatchUp
	fetchers fetchers

	// storageFull is what disks said at the last look: every save asks, and
	// the answers that it rests on come once a second.
	storageFull atomic.Bool
	// pool is nil until the node belongs to a cluster.
	pool atomic.Pointer[gossip.Pool]
	// addresses holds the client addresses of other nodes by ServerID.
	addresses sync.Map

	// Made by belong, before the node's settled channel is closed.
	controller *membership.Controller
	keeping    housekeeping
	detector   *detect.Detector

	// leases, health and hub follow what is applied from the start.
	leases *lease.Manager
	health *health.Manager
	hub    *watch.Hub

	// scrubber works from belong on, and notes what is applied from the start.
	scrubber *scrub.Scrubber
	// auditor compares what is applied from the start, and asks from belong on.
	auditor *audit.Auditor
	// gate is what all who rebuild versions here go through.
	gate *rebuild.Gate
}

// newCore builds the core of n and starts raft.
func newCore(n *Node) (*core, error) {
	c := &core{node: n, gate: rebuild.New(), disks: newDiskWatch(n.cfg.MinFreeDisk)}
	hub, err := watch.New(watch.Config{View: c.eventView})
	if err != nil {
		return nil, err
	}
	c.hub = hub
	c.replica = &replica{open: c.openRaft, failed: n.halt}
	if err := c.openCatchUp(); err != nil {
		return nil, err
	}
	c.elders = newElders(c)
	c.scrubber = c.newScrubber()
	if c.auditor, err = c.newAuditor(); err != nil {
		c.elders.close()
		return nil, errors.Join(err, c.source.Close())
	}
	c.clock = propose.NewClock(propose.ClockConfig{Self: n.id, Voters: c.replica.voters})
	proposer, err := propose.New(propose.Config{
		Sample: func(ctx context.Context, term uint64) error { return c.reads.Sample(ctx, term) },
		Raft:   c.replica, Node: n.id, Machine: n.machine, Clock: c.clock, Logger: n.part("propose"),
		ClusterID:   func() [16]byte { id, _ := n.dir.Node().State().Identity(); return id },
		Generation:  func() uint64 { _, g := n.dir.Node().State().Identity(); return g },
		StorageFull: c.storageFull.Load, Held: c.auditor.Held,
	})
	if err != nil {
		c.elders.close()
		return nil, errors.Join(err, c.source.Close())
	}
	c.proposer, c.replica.proposer = proposer, proposer
	reads, err := read.New(read.Config{
		Self: n.id, Term: c.replica.Term, ReadyTerm: c.proposer.ReadyTerm, CommitIndex: c.replica.CommitIndex,
		Voters: c.replica.voters, Ask: c.ask, ReadIndexAtLeader: c.readIndexAtLeader, Machine: n.machine,
		OnAnswer: c.heard,
	})
	if err != nil {
		c.elders.close()
		c.proposer.Close()
		return nil, errors.Join(err, c.source.Close())
	}
	c.reads = reads
	c.health = health.New(c.healthConfig())
	c.leases = lease.New(c.leaseConfig())
	c.tracker = membership.NewTracker(membership.TrackerConfig{
		Self: n.id, Raft: c.replica, Logger: n.part("membership"), Ask: c.askTerm,
	})
	c.manager = membership.NewManager(n.id, c.replica, c.tracker, c.liveness)
	c.taker = membership.NewTaker(membership.TakerConfig{
		Self: n.id, Raft: c.replica, Store: n.dir.Node(), Book: n.book, Progress: c.tracker, Gossip: c.liveness,
		Generation: func() uint64 { return uint64(n.machine.Info().Generation) },
		Level:      func() uint32 { return n.machine.Info().Level }, Logger: n.part("membership"),
	})
	if err := c.replica.start(); err != nil {
		return nil, errors.Join(err, c.close(context.Background(), false))
	}
	return c, nil
}

func (c *core) openRaft() (*consensus.Replica, error) {
	cfg := c.raftConfig()
	cfg.Streams = consensus.StreamsOf(c.node.port.Raft())
	return consensus.Open(cfg)
}

func (c *core) raftConfig() consensus.Config {
	n := c.node
	return consensus.Config{
		ID: n.id, Dir: n.dir.Path(), LogStore: n.cfg.LogStore, Machine: n.machine,
		Logger: n.part("raft"), Halt: n.halt, Timeouts: n.cfg.Tuning.Raft, Retention: n.retention(),
		OnApplied:       c.applied,
		OnSwapped:       c.swapped,
		OnLeadership:    func(l consensus.Leadership) { c.proposer.OnLeadership(propose.Leadership(l)) },
		OnConfiguration: c.configured,
		OnInstall:       c.catchUp.OnInstall,
		Sound:           c.sound,
	}
}

// applied tells what the machine has applied.
func (c *core) applied(applied []fsm.Applied) {
	c.leases.OnApplied(applied) // before those who wait for a result learn of it
	c.health.OnApplied(applied)
	c.hub.OnApplied(applied)
	c.proposer.OnApplied(applied)
	c.scrubber.OnApplied(applied)
	c.auditor.OnApplied(applied)
}

// swapped tells that the machine's state was replaced.
func (c *core) swapped() {
	if err := c.auditor.OnSwapped(); err != nil {
		c.node.log.Warn("the replica digest of the new state is not known yet", "error", err)
	}
	if err := c.hub.Reset(); err != nil {
		c.node.log.Warn("watchers look again only after the next change", "error", err)
	}
}

// heard takes what a voter answered in a term round.
func (c *core) heard(voter string, a read.Answer) {
	c.clock.Observe(voter, a.Wall)
	c.disks.observe(voter, space{free: a.FreeBytes, total: a.TotalBytes})
}

// configured follows changes of the configuration: who is no longer a member
// is cut off and forgotten.
func (c *core) configured(configuration consensus.Configuration) {
	ids := make([]string, len(configuration.Servers))
	for i, s := range configuration.Servers {
		ids[i] = s.ID
	}
	c.disks.forget(ids)
	c.addresses.Range(func(id, _ any) bool {
		if !slices.Contains(ids, id.(string)) {
			c.addresses.Delete(id)
		}
		return true
	})
	if len(ids) == 0 {
		return
	}
	for _, gone := range c.elders.replaced(ids) {
		c.node.port.Drop(gone)
	}
	if err := c.node.book.Retain(ids); err != nil {
		c.node.halt(err)
	}
}

// askTerm is membership's question to one member.
func (c *core) askTerm(ctx context.Context, id string, r *peerpb.TermRequest) (*peerpb.TermResponse, error) {
	conn, err := c.node.port.Conn(id)
	if err != nil {
		return nil, err
	}
	resp, err := peerpb.NewPeerClient(conn).Term(ctx, r)
	return resp, wire.FromStatus(err)
}

// leads reports whether this node leads and serves.
func (c *core) leads() bool { return c.proposer.ReadyTerm() != 0 }

// level returns the highest feature level that every member knows, 0 when one
// has not told.
func (c *core) level() uint32 {
	level := fsm.MaxLevel
	for _, s := range c.replica.Configuration().Servers {
		if s.ID == c.node.id {
			continue
		}
		f, told := c.tracker.Follower(s.ID)
		if !told {
			return 0
		}
		level = min(level, f.FeatureLevel)
	}
	return level
}

// leader returns the leader and its client address as far as known.
func (c *core) leader() wire.Leader {
	id := c.replica.Leader()
	if id == c.node.id {
		return wire.Leader{ID: id, Address: c.node.clientAddr}
	}
	return wire.Leader{ID: id, Address: c.clientAddress(id)}
}

// close stops everything, outermost first. The servers are closed already. A
// node that stops on purpose says good-bye to the others.
func (c *core) close(ctx context.Context, goodbye bool) error {
	if c.detector != nil {
		c.detector.Close()
	}
	c.keeping.close()
	c.scrubber.Close()
	c.auditor.Close()
	if c.controller != nil {
		c.controller.Close()
	}
	c.catchUp.Close()
	c.tracker.Close()
	c.elders.close()
	c.hub.Close()
	c.leases.Close()
	c.health.Close()
	c.reads.Close()
	c.proposer.Close()
	err := errors.Join(c.replica.end(ctx), c.source.Close())
	if pool := c.pool.Load(); pool != nil {
		if goodbye {
			_ = pool.Leave(ctx)
		}
		_ = pool.Close()
	}
	return err
}
