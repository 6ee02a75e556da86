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
	// Answered is about what part of the last ten probes of this node it has
	// answered directly and in time, from 0 to 1; of fewer when it has not been alive
	// for so long, and 1 at first, for this node itself, and for one that is gone. A node that is short of processor probes less,
	// and then all have answered less.
	Answered float64
}

// answeredOf is how many probes Answered looks back at, answeredOfLeast the fewest
// that say something.
const answeredOf, answeredOfLeast = 10, 5

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

	self string

	mu      sync.Mutex
	members map[string]*row
}

type row struct {
	Member
	leaving bool
	// answers are when it last answered a probe, next is the oldest of them.
	answers [answeredOf]time.Time
	next    int
}

// answered returns the part of the probes that it has answered, of which there is
// one in every interval.
func (r *row) answered(now time.Time, interval time.Duration) float64 {
	probes := answeredOf
	if interval > 0 {
		probes = int(min(now.Sub(r.Since)/interval, answeredOf))
	}
	if r.Liveness != Alive || probes < answeredOfLeast {
		return 1
	}
	since := now.Add(-time.Duration(probes) * interval)
	n := 0
	for _, at := range r.answers {
		if at.After(since) {
			n++
		}
	}
	return min(1, float64(n)/float64(probes))
}

func newTable(self string) *table {
	return &table{changes: make(chan struct{}, 1), self: self, members: map[string]*row{}}
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
func (t *table) answered(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.members[id]; r != nil {
		r.answers[r.next] = time.Now()
		r.next = (r.next + 1) % answeredOf
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
	now := time.Now()
	t.pruneLocked(now)
	alive := 0
	for _, r := range t.members {
		if r.Liveness == Alive {
			alive++
		}
	}
	members := make([]Member, 0, len(t.members))
	for _, r := range t.members {
		m := r.Member
		if m.Answered = 1; m.ID != t.self { // the others are probed by turns
			m.Answered = r.answered(now, time.Duration(alive-1)*probeInterval)
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return members
}
