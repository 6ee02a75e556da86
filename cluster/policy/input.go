// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import "time"

// Liveness is what gossip says of a node.
type Liveness uint8

// What gossip can say. Unknown is a node that it does not (or no longer) list:
// gossip forgets dead nodes after a while, and a leader that was restarted
// never heard of those that died before.
const (
	Unknown Liveness = iota
	Alive
	Suspect
	Dead
	Left
)

// String returns the liveness in words.
func (l Liveness) String() string {
	switch l {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Dead:
		return "dead"
	case Left:
		return "left"
	case Unknown:
		return "unknown"
	}
	return "unknown"
}

// Node is one member of the configuration, as the leader sees it.
type Node struct {
	// ID is the ServerID; Name the part that survives a wiped directory.
	ID, Name string
	Voter    bool
	// Self is the leader itself. Its other fields but Voter are not looked at.
	Self bool
	// Silent is for how long the leader has had no raft contact: since the
	// last one, or since it leads.
	Silent time.Duration
	// CloseFor is for how long the node has followed closely without a break;
	// 0 when it does not.
	CloseFor time.Duration
	// Lag is by how many entries it was behind when it last told.
	Lag    uint64
	Gossip Liveness
}

// Input is what a decision is made from.
type Input struct {
	Nodes []Node
	// Settled says that the latest configuration is committed.
	Settled bool
	// LeaderFor is for how long the node has led without a break.
	LeaderFor time.Duration
	// Wanted is the number of live voters to keep, at least 1.
	Wanted int
	// MinVoters is the number of voters that no removal goes below.
	MinVoters int
	// Stabilise is how long a state must last before it is acted upon.
	Stabilise time.Duration
	// Fresh is the age up to which raft contact counts as present. It is well
	// below Stabilise.
	Fresh time.Duration
	// ForgetStandby is for how long a standby must be dead to be removed.
	ForgetStandby time.Duration
}

// Kind is what to do.
type Kind uint8

// The kinds of action.
const (
	// None: nothing now.
	None Kind = iota
	// Promote makes Action.Node, a standby, a voter.
	Promote
	// Remove takes Action.Node out of the configuration.
	Remove
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case Promote:
		return "promote"
	case Remove:
		return "remove"
	case None:
		return "none"
	}
	return "none"
}

// Action is a decision.
type Action struct {
	Kind Kind
	// Node is the ServerID concerned; empty for None.
	Node string
	// Reason says why, in one sentence.
	Reason string
	// Notes say what is not as it should be and why nothing is done about it,
	// in a stable order.
	Notes []string
}
