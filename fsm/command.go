// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Command is something that the machine does: a pointer to one of the command
// types of this package. Commands that came from [DecodeBatch] alias its
// argument.
type Command interface {
	kind() commandKind
	appendBody(dst []byte) []byte
	parseBody(r *reader)
	// apply changes the state, or refuses to in the result. An error stops
	// the replica.
	apply(c *changes) (Result, error)
}

// commandKind is the first byte of an encoded command: append only.
type commandKind uint8

const (
	kindLeaderStart commandKind = iota + 1
	kindRaiseLevel
	kindSave
	kindDelete
	kindReclaim
)

// MaxLevel is the feature level of this binary: it knows every command that
// was introduced at or below it. A machine starts at level 1.
const MaxLevel uint32 = 1

// commandTypes holds, by kind, the level that introduced a command and its maker.
var commandTypes = [...]struct {
	level uint32
	make  func() Command
}{
	kindLeaderStart: {1, func() Command { return new(LeaderStart) }},
	kindRaiseLevel:  {1, func() Command { return new(RaiseLevel) }},
	kindSave:        {1, func() Command { return new(Save) }},
	kindDelete:      {1, func() Command { return new(Delete) }},
	kindReclaim:     {1, func() Command { return new(Reclaim) }},
}

// Request makes a mutating command safe to repeat. Everything but Attempt is
// fixed at the first attempt.
type Request struct {
	Nonce hawser.Nonce
	// Generation that the client knew; 0 for none.
	Generation uint64
	// Seen is the newest number of the agent's chain that the client had seen.
	Seen uint64
	// Attempt is 0 for the first attempt.
	Attempt uint32
}

// Save appends a version to an agent's chain.
type Save struct {
	Agent   hawser.AgentID
	Request Request
	// Expect is the number that the newest live version must have, 0 for
	// none; nil for no condition.
	Expect *uint64
	// Instance is the process that saves.
	Instance            string
	Labels              map[string]string
	ContentType, Schema string
	// SHA256 is the hash of the whole state.
	SHA256 hawser.Hash
	// Content is a keyframe; the node that proposes it has verified it.
	Content record.Content
}

// Delete removes an agent with all its versions. Request.Seen is its
// condition: the number of the newest live version.
type Delete struct {
	Agent   hawser.AgentID
	Request Request
}

// LeaderStart is the first command of every leader. The first one of all
// gives the cluster its id and generation.
type LeaderStart struct {
	Term       uint64
	Node       string
	ClusterID  [16]byte
	Generation uint64
}

// RaiseLevel raises the feature level. The leader proposes it when every
// member knows the level.
type RaiseLevel struct {
	Level uint32
}

// Reclaim frees what a deleted agent's versions occupy, Limit numbers at most.
type Reclaim struct {
	Agent hawser.AgentID
	Limit uint32
}

func (*LeaderStart) kind() commandKind { return kindLeaderStart }
func (*RaiseLevel) kind() commandKind  { return kindRaiseLevel }
func (*Save) kind() commandKind        { return kindSave }
func (*Delete) kind() commandKind      { return kindDelete }
func (*Reclaim) kind() commandKind     { return kindReclaim }

func sortedKeys(labels map[string]string) []string {
	if len(labels) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(labels))
}
