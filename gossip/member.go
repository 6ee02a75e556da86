// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Liveness is what gossip thinks of a member.
type Liveness uint8

const (
	// Alive answers probes, as far as known.
	Alive Liveness = iota + 1
	// Dead stopped answering without a good-bye.
	Dead
	// Left said good-bye.
	Left
)

// String returns the liveness in words.
func (l Liveness) String() string {
	switch l {
	case Alive:
		return "alive"
	case Dead:
		return "dead"
	case Left:
		return "left"
	}
	return fmt.Sprintf("liveness %d", uint8(l))
}

// Member is a node as gossip sees it.
type Member struct {
	// ID is the ServerID.
	ID       string
	Liveness Liveness
	// Since is when Liveness last changed, by this node's clock.
	Since time.Time
	// GossipAddress is where the node gossips (host:port).
	GossipAddress string
	// Meta is what the node last said about itself. MetaKnown is false, and
	// Meta zero, when this binary cannot read it.
	Meta      Meta
	MetaKnown bool
	// LastAnswer is when the node last answered a probe of this node
	// directly, and RTT how long that took; zero before the first and for
	// this node itself.
	LastAnswer time.Time
	RTT        time.Duration
}

const (
	// keepGone is how long, and maxGone how many, dead and left members stay
	// listed.
	keepGone = time.Hour
	maxGone  = 64
)

// table is the members as the delegates reported them.
type table struct {
	// changes has capacity 1; the table sends, nobody closes it. Full means
	// that the reader has yet to look.
	changes chan struct{}

	mu      sync.Mutex
	members map[string]*row
}

type row struct {
	Member
	leaving bool
}

func newTable() *table {
	return &table{changes: make(chan struct{}, 1), members: map[string]*row{}}
}

func (t *table) signal() {
	select {
	case t.changes <- struct{}{}:
	default:
	}
}

// put records that n is alive.
func (t *table) put(n *memberlist.Node) {
	meta, leaving, err := decodeMeta(n.Meta)
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.members[n.Name]
	if r == nil {
		r = &row{Member: Member{ID: strings.Clone(n.Name)}}
		t.members[r.ID] = r
	}
	if r.Liveness != Alive {
		r.Liveness, r.Since = Alive, time.Now()
		r.LastAnswer, r.RTT = time.Time{}, 0
	}
	r.GossipAddress, r.Meta, r.MetaKnown, r.leaving = n.Address(), meta, err == nil, leaving
	t.signal()
}

// gone records that n died or left.
func (t *table) gone(n *memberlist.Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.members[n.Name]
	if r == nil {
		return
	}
	r.Liveness, r.Since = Dead, time.Now()
	if r.leaving {
		r.Liveness = Left
	}
	t.pruneLocked(r.Since)
	t.signal()
}

// answered records a direct answer to a probe.
func (t *table) answered(id string, rtt time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.members[id]; r != nil {
		r.LastAnswer, r.RTT = time.Now(), rtt
	}
}

// pruneLocked forgets the gone members that are too old or too many.
func (t *table) pruneLocked(now time.Time) {
	var gone []*row
	for id, r := range t.members {
		switch {
		case r.Liveness == Alive:
		case now.Sub(r.Since) > keepGone:
			delete(t.members, id)
		default:
			gone = append(gone, r)
		}
	}
	if len(gone) <= maxGone {
		return
	}
	slices.SortFunc(gone, func(a, b *row) int { return a.Since.Compare(b.Since) })
	for _, r := range gone[:len(gone)-maxGone] {
		delete(t.members, r.ID)
	}
}

// list returns copies of all members, sorted by id.
func (t *table) list() []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pruneLocked(time.Now())
	members := make([]Member, 0, len(t.members))
	for _, r := range t.members {
		members = append(members, r.Member)
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return members
}
