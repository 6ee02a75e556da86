// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"time"
)

const (
	// handOverTime bounds the transfer of the leadership, drainTime what is
	// left for calls under way after it.
	handOverTime = 3 * time.Second
	drainTime    = 3 * time.Second
)

// Close stops the node: it says that it is not ready, hands over the
// leadership, lets calls under way end, and makes everything durable. It is
// bounded by ctx and by limits of its own, and returns when nothing of the
// node runs. It may be called more than once.
func (n *Node) Close(ctx context.Context) error {
	n.closeOnce.Do(func() { n.closeErr = n.close(ctx) })
	return n.closeErr
}

// Crash stops the node as a crash would, as far as that can be done within a
// process: without handing over, draining or making anything durable. It is
// for tests.
func (n *Node) Crash() {
	n.halt(errCrash)
	_ = n.Close(context.Background())
}

var errCrash = errors.New("crashed on purpose")

func (n *Node) close(ctx context.Context) error {
	if n.health != nil {
		n.health.Shutdown()
	}
	n.isReady.Store(false)
	c := n.core.Load()
	stopped := n.Err() != nil
	if c != nil && !stopped {
		n.handOver(ctx, c)
	}
	errs := n.closeServers(ctx)
	if n.stop != nil {
		n.stop()
	}
	n.running.Wait()
	n.quarantining.Wait()
	if c != nil {
		errs = append(errs, c.close(ctx, !stopped))
	}
	if n.peers != nil {
		drain, cancel := context.WithTimeout(ctx, time.Second)
		errs = append(errs, n.peers.close(drain))
		cancel()
	}
	if n.port != nil {
		_ = n.port.Close()
	}
	switch {
	case n.machine == nil:
	case stopped:
		_ = n.machine.Discard() // one that failed says so again
	default:
		errs = append(errs, n.machine.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.Close())
	}
	n.haltOnce.Do(func() { close(n.done) })
	n.log.Info("node stopped")
	return errors.Join(errs...)
}

// handOver gives the leadership to another voter, so that the cluster does
// not have to miss this node first.
func (n *Node) handOver(ctx context.Context, c *core) {
	if !c.replica.IsLeader() || len(c.replica.voters()) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	if err := c.replica.Transfer(ctx, ""); err != nil {
		n.log.Warn("leadership was not handed over", "error", err)
	}
}

func (n *Node) closeServers(ctx context.Context) (errs []error) {
	drain, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if n.Err() != nil {
		cancel()
	}
	if n.clients != nil {
		errs = append(errs, n.clients.close(drain))
	}
	if n.http != nil {
		errs = append(errs, n.http.close(drain))
	}
	return errs
}
