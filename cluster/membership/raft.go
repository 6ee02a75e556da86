// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"slices"
	"time"

	"github.com/hawserdb/hawser/cluster/policy"
)

// Server is one member of a [Configuration].
type Server struct {
	ID    string
	Voter bool
}

// Configuration is who belongs to the cluster, as of a log index.
type Configuration struct {
	Index   uint64
	Servers []Server
}

// Find returns the member id, and whether there is one.
func (c Configuration) Find(id string) (Server, bool) {
	at := slices.IndexFunc(c.Servers, func(s Server) bool { return s.ID == id })
	if at < 0 {
		return Server{}, false
	}
	return c.Servers[at], true
}

// voters returns how many members vote.
func (c Configuration) voters() int {
	n := 0
	for _, s := range c.Servers {
		if s.Voter {
			n++
		}
	}
	return n
}

// Raft is what membership needs of the replica. Changes return when they are
// committed, or an error that carries a hawser code; one with a prevIndex is
// refused unless the configuration has that index.
type Raft interface {
	IsLeader() bool
	// Leader is the ServerID of the leader, "" for not known.
	Leader() string
	Term() uint64
	CommitIndex() uint64
	LastIndex() uint64
	// Configuration is the latest, committed or not.
	Configuration() Configuration
	AddStandby(ctx context.Context, id string) error
	Promote(ctx context.Context, id string, prevIndex uint64) error
	Remove(ctx context.Context, id string, prevIndex uint64) error
	// Transfer hands the leadership to id; "" is the voter that follows best.
	Transfer(ctx context.Context, id string) error
}

// Follower is what a member last told its leader.
type Follower struct {
	// Contact is when it last answered in the leader's own term.
	Contact time.Time
	// Lag is by how many entries its log, or its machine if that is more, was
	// behind the leader when it was asked.
	Lag          uint64
	AppliedIndex uint64
	LastIndex    uint64
	// Wall is its wall clock in unix nanoseconds.
	Wall                  int64
	FreeBytes, TotalBytes uint64
	FeatureLevel          uint32
	// Append is how long its log takes to write an entry, of late.
	Append time.Duration
}

// Progress tells how far the members are. A [Tracker] is one.
type Progress interface {
	// Follower returns what the member id last told this leader, and whether
	// it did since this node leads.
	Follower(id string) (Follower, bool)
}

// Gossip tells what gossip says of the node id. It is called often and does not block.
type Gossip func(id string) policy.Liveness

// fresh is the age up to which contact counts as present.
const fresh = 3 * time.Second

// inContact reports whether the leader has fresh contact with id.
func inContact(p Progress, id string) bool {
	f, ok := p.Follower(id)
	return ok && time.Since(f.Contact) <= fresh
}
