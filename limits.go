// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import "time"

// Limits. Each is checked at the edge (client and node) and again where a
// violation could cost memory or disk. Raising one is compatible, lowering
// one is not.
const (
	// MaxAgentName is the longest agent name in bytes. Names become part of
	// every key of the agent, so they are bounded well below a disk block.
	MaxAgentName = 512
	// MaxNamespace is the longest namespace in bytes.
	MaxNamespace = 64
	// MaxStateSize is the largest state in bytes, unpacked. Large states are
	// streamed and stored in parts; whoever saves or restores one holds it in
	// memory whole, a node does not.
	MaxStateSize = 256 << 20
	// MaxLabels is the number of labels of one version.
	MaxLabels = 32
	// MaxLabelKey and MaxLabelValue bound one label in bytes.
	MaxLabelKey   = 128
	MaxLabelValue = 512
	// MaxContentType, MaxSchema and MaxInstance bound these fields in bytes.
	MaxContentType = 128
	MaxSchema      = 256
	MaxInstance    = 128
	// MaxDerivedFrom is the most versions that one version may name as what it
	// was computed from.
	MaxDerivedFrom = 16
	// MaxPins is the most pinned versions of one agent.
	MaxPins = 1000
	// MaxPolicies is the most retention policies of a cluster.
	MaxPolicies = 1000
	// MaxPage is the most items of one page of a list; DefaultPage is used
	// where the caller names no limit.
	MaxPage     = 1000
	DefaultPage = 100
	// IdempotencyWindow is how many of an agent's newest numbers are searched
	// for a repeated request. A repeat that is older is refused with
	// [ErrRequestExpired], never executed again.
	IdempotencyWindow = 64
	// MaxMessage is the longest payload of a message in bytes. What is longer
	// belongs into a state, of which the message names the version.
	MaxMessage = 64 << 10
	// MaxConsumed and MaxEmitted are the most messages that one save consumes and
	// sends, MaxEmittedBytes what those that it sends have together with their
	// labels and addresses: they go into the save's log entry.
	MaxConsumed     = 100
	MaxEmitted      = 100
	MaxEmittedBytes = 96 << 10
	// MaxInbox and MaxInboxBytes bound what waits for one agent. Who sends more is
	// refused with [ErrOverloaded] until the agent has caught up.
	MaxInbox      = 10_000
	MaxInboxBytes = 64 << 20
	// MaxSessions is the most sessions of a namespace. One that nobody has used
	// for SessionTime is forgotten.
	MaxSessions = 10_000
	SessionTime = 24 * time.Hour
)
