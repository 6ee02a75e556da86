// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls, partly under its node lock: every method
// copies and returns.
type delegate struct {
	table *table
	log   *slog.Logger

	mu      sync.Mutex // guards own, leaving and quietUntil
	own     Meta
	leaving bool
	// quietUntil holds back further lines about conflicting names.
	quietUntil time.Time
}

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
	_ memberlist.PingDelegate     = (*delegate)(nil)
)

// set replaces the own metadata.
func (d *delegate) set(m Meta) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.own = m
}

// setLeaving marks the own metadata for the rest of the pool's life, so that
// others can tell leaving from dying: memberlist does not tell them.
func (d *delegate) setLeaving() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = true
}

// NodeMeta implements memberlist.Delegate. memberlist panics above limit,
// which maxMeta keeps away from.
func (d *delegate) NodeMeta(limit int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := appendMeta(make([]byte, 0, maxMeta), d.own, d.leaving)
	if len(b) > limit {
		return nil
	}
	return b
}

// NotifyMsg implements memberlist.Delegate.
func (*delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (*delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (*delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (*delegate) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.table.put(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.table.put(n) }

// NotifyLeave implements memberlist.EventDelegate.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.table.gone(n) }

// NotifyPingComplete implements memberlist.PingDelegate: the answer was direct and
// came within the probe timeout.
func (d *delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	d.table.answered(n.Name)
}

// AckPayload implements memberlist.PingDelegate.
func (*delegate) AckPayload() []byte { return nil }

var errOtherCluster = errors.New("it belongs to another cluster")

// NotifyAlive implements memberlist.AliveDelegate: it keeps nodes of another
// cluster out. Metadata that cannot be read is no reason to.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	theirs, _, err := decodeMeta(n.Meta)
	if err != nil {
		return nil // shown without its metadata: it may come from a newer binary
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	none := [8]byte{}
	if theirs.ClusterID != none && d.own.ClusterID != none && theirs.ClusterID != d.own.ClusterID {
		return errOtherCluster
	}
	return nil
}

const quietAfterConflict = 10 * time.Second

// NotifyConflict implements memberlist.ConflictDelegate.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	now := time.Now()
	d.mu.Lock()
	quiet := now.Before(d.quietUntil)
	if !quiet {
		d.quietUntil = now.Add(quietAfterConflict)
	}
	d.mu.Unlock()
	if quiet {
		return
	}
	d.log.Warn("two nodes gossip under one id; stop one, a copied data directory must not be started",
		"id", existing.Name, "address", existing.Address(), "other", other.Address())
}
