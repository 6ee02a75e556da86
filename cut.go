// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import "time"

// Cut is the versions of several agents that were current at one revision: a
// point to which a crew can be rolled back together. While there is the cut,
// retention removes none of its versions.
type Cut struct {
	// Name follows the rules of the names of agents, and has nothing to do with
	// them.
	Name AgentID
	// Label is what whoever made it says of it.
	Label string
	// ByPrefix is set when it is of the agents of a prefix, Prefix, that had a
	// version then.
	ByPrefix bool
	Prefix   string
	// CreatedAt is the cluster's clock, Revision the one at which all the
	// versions were current.
	CreatedAt time.Time
	Revision  Revision
	// Size is how many agents there are in it.
	Size int
	// Agents are in the order of their names; a list of cuts leaves them out.
	Agents []CutAgent
	// RolledBack is how often agents were rolled back to it, Rollbacks the
	// newest of these, oldest first, at most [MaxCutRollbacks].
	RolledBack uint64
	Rollbacks  []CutRollback
}

// CutAgent is an agent of a cut.
type CutAgent struct {
	Agent AgentID
	// Number is the version that was current.
	Number uint64
	// Problem is why it cannot be restored any more, empty when it can.
	Problem string
}

// CutRollback is one time that agents were rolled back to a cut.
type CutRollback struct {
	Nonce    Nonce
	Revision Revision
	// Time is the cluster's clock.
	Time time.Time
	// Instance did it, for Reason.
	Instance, Reason string
	// Size is how many agents were rolled back, LeftOut how many were not
	// because they could not be.
	Size, LeftOut int
}

// RollbackReport says what a rollback to a cut has done, or would do.
type RollbackReport struct {
	Cut AgentID
	// DryRun is set when nothing was done.
	DryRun bool
	// Repeated is set when an earlier attempt had done it; who owned the agents
	// then, and which transactions were aborted, is not known any more.
	Repeated bool
	// Revision is the one at which all was done; of a dry run the one that it
	// looked at. Time is the cluster's clock then.
	Revision Revision
	Time     time.Time
	// Agents are in the order of their names.
	Agents []AgentRollback
	// Problem is why a dry run says that all would be refused, beside the
	// problems of agents.
	Problem string
}

// AgentRollback is what is done to one agent.
type AgentRollback struct {
	Agent AgentID
	// Number is the version in the cut, Head the newest one before.
	Number, Head uint64
	// Made is the version that was made, equal to Number; 0 in a dry run, and
	// for an agent that was left out.
	Made uint64
	// Epoch is the agent's after it.
	Epoch uint64
	// Owner is the instance whose claim is ended, empty for none.
	Owner string
	// Txns are the ids of undecided transactions that are aborted.
	Txns []string
	// Problem is why the agent cannot be rolled back.
	Problem string
}

// Limits of cuts.
const (
	// MaxCutAgents is the most agents of one cut. All that is done to them by
	// one rollback is one command, which may make 1,000 events.
	MaxCutAgents = 250
	// MaxCuts is the most cuts of one namespace.
	MaxCuts = 1_000
	// MaxCutRollbacks is how many rollbacks to a cut are known of it. A repeat of
	// an older one is refused with [ErrRequestExpired].
	MaxCutRollbacks = 16
	// MaxCutLabel is the longest label of a cut in bytes.
	MaxCutLabel = 256
	// MaxSaves is the most agents that are saved at once.
	MaxSaves = 64
	// MaxSavesSize is the most that the states of all of them may have together
	// as they are sent: packed, or as differences.
	MaxSavesSize = 192 << 10
)
