// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"encoding/hex"
	"fmt"
	"time"
)

// LeaseID names a lease. Whoever opens it makes the id, at random.
type LeaseID [16]byte

// NewLeaseID returns 16 random bytes.
func NewLeaseID() LeaseID { return LeaseID(NewNonce()) }

// IsZero reports whether l names nothing.
func (l LeaseID) IsZero() bool { return l == LeaseID{} }

// String returns the id in hex.
func (l LeaseID) String() string { return hex.EncodeToString(l[:]) }

// ResourceKind says what a resource is. Values are stored: append only.
type ResourceKind uint8

const (
	// ResourceClaim is the ownership of an agent.
	ResourceClaim ResourceKind = iota + 1
	// ResourceLock is a mutex or semaphore.
	ResourceLock
)

// String returns "claim" or "lock".
func (k ResourceKind) String() string {
	switch k {
	case ResourceClaim:
		return "claim"
	case ResourceLock:
		return "lock"
	}
	return fmt.Sprintf("resource kind %d", uint8(k))
}

// Resource is what can be held under a lease: an agent, or a lock. The names of
// locks follow the rules of those of agents, and have nothing to do with them.
type Resource struct {
	Kind ResourceKind
	Name AgentID
}

// String returns "claim:namespace/name" or "lock:namespace/name".
func (r Resource) String() string { return r.Kind.String() + ":" + r.Name.String() }

// Holding describes a resource with those who hold it and wait for it.
type Holding struct {
	Resource Resource
	// Capacity is how many may hold it at once: 1 but for semaphores.
	Capacity uint32
	Holders  []Holder
	// Waiters are the first of those that wait, in the order in which they are
	// served; Waiting is how many there are.
	Waiters []Waiter
	Waiting int
	// Epoch is the agent's, or the number of grants of the lock.
	Epoch uint64
	// Fenced is set when the agent takes no write without a fence.
	Fenced bool
}

// Holder is who holds a resource.
type Holder struct {
	Lease    LeaseID
	Instance string
	// Token is what [Fence.Token] is for this holder.
	Token uint64
	TTL   time.Duration
	// Since is the cluster's clock at the grant.
	Since time.Time
	// Ending is set once somebody else has ended the hold, for Reason, and the
	// holder has not acknowledged that yet. Its fence is void already.
	Ending bool
	Reason string
	// Health is how the owner of an agent did when a leader last told the log.
	Health HealthState
}

// Waiter is who waits for a resource.
type Waiter struct {
	Lease    LeaseID
	Instance string
	Priority int32
	Since    time.Time
}

// Limits of leases and what is held under them.
const (
	// DefaultTTL is how long a lease lives without a sign of life when its
	// opener says nothing else.
	DefaultTTL = 3 * time.Second
	// MinTTL and MaxTTL bound it.
	MinTTL = 500 * time.Millisecond
	MaxTTL = time.Hour
	// MaxLeases is the most open leases of a cluster.
	MaxLeases = 200_000
	// MaxHolds is the most resources that one lease may hold or wait for.
	MaxHolds = 10_000
	// MaxWaiters is the most leases that wait for one resource.
	MaxWaiters = 10_000
	// MaxCapacity is the largest capacity of a semaphore.
	MaxCapacity = 1_000
	// MaxReason is the longest reason for ending something, in bytes.
	MaxReason = 256
)

// NewToken returns the fencing token of an epoch or a grant number. It grows
// with the number even beyond 32 bits.
func NewToken(generation Generation, number uint64) uint64 {
	return uint64(generation)<<32 + number
}

// SplitToken is the reverse of [NewToken].
func SplitToken(token uint64) (generation Generation, number uint64) {
	return Generation(token >> 32), token & (1<<32 - 1)
}
