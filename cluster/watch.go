// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/gossip"
	"github.com/hawserdb/hawser/internal/halt"
)

const (
	// watchEvery is how often the node looks after itself, hurryEvery the
	// same until it is ready.
	watchEvery = time.Second
	hurryEvery = 50 * time.Millisecond
	// ballastEvery is how often it looks at the ballast file.
	ballastEvery = 30 * time.Second
	// ballastFloor is the free space below which it is looked at each time.
	ballastFloor = 64 << 20
)

// watch keeps the node's readiness, free space and metadata up to date.
func (n *Node) watch(ctx context.Context) {
	var told gossip.Meta
	ballast := time.Now()
	for {
		n.look(ctx, &told)
		if time.Since(ballast) > ballastEvery || n.shortOfSpace() {
			ballast = time.Now()
			if _, err := n.dir.EnsureBallast(); err != nil {
				n.log.Warn("ballast file", "error", err)
			}
		}
		every := watchEvery
		if !n.isReady.Load() {
			every = hurryEvery
		}
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-n.done:
			timer.Stop()
			n.setReady(false)
			return
		case <-timer.C:
		}
	}
}

func (n *Node) look(ctx context.Context, told *gossip.Meta) {
	if s, err := n.space(); err == nil {
		n.lastSpace.Store(s)
		if c := n.core.Load(); c != nil {
			c.disks.observe(n.id, s) // a single voter asks nobody
			c.storageFull.Store(c.disks.full(c.replica.voters()))
		}
	}
	c, err := n.joined()
	if err != nil {
		n.setReady(false)
		return
	}
	if err := errors.Join(c.learnAddresses(), c.markStarted()); err != nil {
		n.halt(err)
		return
	}
	if m := c.meta(); worthTelling(m, *told) {
		c.pool.Load().Update(m)
		*told = m
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	n.setReady(n.Ready(ctx) == nil)
}

// shortOfSpace reports whether so little is free that the ballast has to be
// given up at once, so that the log can still be cut.
func (n *Node) shortOfSpace() bool {
	s, known := n.lastSpace.Load().(space)
	return known && s.free < ballastFloor
}

// worthTelling reports whether next differs from what the others were told by
// more than noise.
func worthTelling(next, told gossip.Meta) bool {
	const step = 64 << 20
	if next.FreeBytes/step == told.FreeBytes/step {
		next.FreeBytes = told.FreeBytes
	}
	return next != told
}

func (n *Node) setReady(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	if n.isReady.Swap(ready) != ready {
		n.log.Info("readiness changed", "ready", ready)
	}
	n.health.SetServingStatus("", status)
}

// Ready returns nil once the node can take calls: it belongs to a cluster,
// knows its leader and has caught up with it. Otherwise the error says what is
// missing. It does one linearizable wait.
func (n *Node) Ready(ctx context.Context) error {
	if err := n.healthy(ctx); err != nil {
		return err
	}
	c, err := n.joined()
	if err != nil {
		return err
	}
	if p := c.catchUp.Progress(); p.Source != "" {
		return &hawser.Error{Code: hawser.CodeUnavailable, Msg: "this node is far behind: " + p.String()}
	}
	return c.reads.Wait(ctx)
}

// healthy returns nil while the process works as it should.
func (n *Node) healthy(context.Context) error {
	select {
	case <-n.done:
		if n.haltErr == nil {
			return errors.New("the node was stopped")
		}
		return n.haltErr
	default:
		return nil
	}
}

// removed stops a node that the cluster has removed.
func (n *Node) removed() {
	n.halt(&halt.Error{
		Reason: halt.Removed, Where: n.id,
		Err:  errors.New("the members of the cluster no longer list this node"),
		Hint: "to add it again, start it with an empty data directory and --join",
	})
}

// markStarted makes durable that raft has state here, once it has: from then on
// the node does not start without that state, which may hold a vote. A node that
// was taken in gets it only after it belongs to the cluster.
func (c *core) markStarted() error {
	store := c.node.dir.Node()
	if store.State().Started || !c.replica.HasState() {
		return nil
	}
	return membership.MarkStarted(store)
}
