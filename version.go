// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Revision counts the commands that changed the cluster. It orders everything
// that happened within one generation and serves as a read-your-writes token.
type Revision uint64

// Generation is the number of the cluster's life: unix seconds at bootstrap,
// raised by a full restore. Zero means unknown.
type Generation uint64

// Hash is a SHA-256.
type Hash [32]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// VersionState says whether the content of a version can be restored.
type VersionState uint8

const (
	// VersionLive can be restored.
	VersionLive VersionState = iota + 1
	// VersionGone was removed by retention or delete.
	VersionGone
	// VersionBad was found corrupt and is never served.
	VersionBad
)

// String returns "live", "gone" or "bad".
func (s VersionState) String() string {
	switch s {
	case VersionLive:
		return "live"
	case VersionGone:
		return "gone"
	case VersionBad:
		return "bad"
	}
	return "unknown"
}

// Version describes one immutable saved state of an agent, without its
// content.
type Version struct {
	Agent AgentID
	// Number counts the agent's chain from 1. It never changes and is never
	// given again, not even after the agent was deleted and made anew.
	Number uint64
	// Size is the length of the content in bytes.
	Size int64
	// SHA256 is the hash of the content.
	SHA256 Hash
	// Parent is the number that this version followed, 0 for the first.
	Parent uint64
	// Epoch is the ownership under which it was saved, 0 for none.
	Epoch uint64
	// Instance is the process that saved it.
	Instance string
	// Labels are the caller's own; nil when there are none.
	Labels      map[string]string
	ContentType string
	Schema      string
	// CreatedAt is the cluster's clock, not the clock of a machine.
	CreatedAt time.Time
	Revision  Revision
	State     VersionState
	// StoredSize is the number of bytes that were stored for the version; 0 for
	// one that shares another version's.
	StoredSize int64
	// Origin is the version whose content this one repeats, zero for a save:
	// of the same agent after a rollback, of another one after a fork.
	Origin VersionRef
	// DerivedFrom are the versions that the saver computed this one from.
	DerivedFrom []VersionRef
	// Pinned versions are not removed by retention.
	Pinned bool
	// Txn is the id of the transaction that made it, empty for none.
	Txn string
}

// VersionRef names a version of an agent.
type VersionRef struct {
	Agent  AgentID
	Number uint64
}

// IsZero reports whether r names nothing.
func (r VersionRef) IsZero() bool { return r == VersionRef{} }

// String returns "namespace/name@number".
func (r VersionRef) String() string { return fmt.Sprintf("%s@%d", r.Agent, r.Number) }

// Agent describes an agent.
type Agent struct {
	ID AgentID
	// Head is the newest number of the agent's chain.
	Head uint64
	// Version is the head version; nil when no live version is left.
	Version *Version
	// Versions counts the live versions, StoredSize their bytes in the store.
	Versions   uint64
	StoredSize int64
	CreatedAt  time.Time
	// Epoch is the ownership counter.
	Epoch uint64
	// Owner is the instance that owns the agent, empty for none.
	Owner string
	// Fenced is set when writes without a fence are refused: the agent is
	// claimed, or was and nobody has opened it since.
	Fenced bool
}

// Fence is what the holder of a claim or a lock shows to prove that it still
// holds it. Compare tokens of one resource only; the higher one is newer.
type Fence struct {
	Resource string
	// Token is generation<<32 | epoch for a claim, generation<<32 | grant
	// number for a lock.
	Token uint64
}
