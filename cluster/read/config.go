// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"errors"
	"time"
)

// Answer is what a voter says about itself.
type Answer struct {
	// Node is the id under which it answers. An answer from another node than
	// was asked counts as none.
	Node string
	// Term it is in.
	Term uint64
	// Wall is its wall clock.
	Wall time.Time
	// AppliedIndex and LastIndex tell how far its machine and its log are.
	AppliedIndex, LastIndex uint64
	// FreeBytes and TotalBytes are of the disk with its data.
	FreeBytes, TotalBytes uint64
	// FeatureLevel is the highest that its binary knows.
	FeatureLevel uint32
}

// Machine is the part of the state machine that reads wait for.
type Machine interface {
	// Wait returns once the machine has applied index, or when ctx ends.
	Wait(ctx context.Context, index uint64) error
}

// Defaults of [Config].
const (
	DefaultRoundTimeout  = 500 * time.Millisecond
	DefaultLeaderTimeout = 2 * time.Second
	DefaultTick          = time.Second
	DefaultMaxWaiting    = 65536
)

// Config configures an [Indexer]. All functions are required, except OnAnswer,
// and called from several goroutines; those without a context must be quick.
type Config struct {
	// Self is the node's own id.
	Self string
	// Term is the node's current raft term.
	Term func() uint64
	// ReadyTerm is the term in which the node leads and may serve, else 0.
	ReadyTerm func() uint64
	// CommitIndex is raft's commit index.
	CommitIndex func() uint64
	// Voters are the ids of the voters of the latest configuration, committed
	// or not.
	Voters func() []string
	// Ask asks one voter about itself and tells it the term in which this node
	// leads. It returns soon after ctx ends.
	Ask func(ctx context.Context, voter string, term uint64) (Answer, error)
	// ReadIndexAtLeader asks the leader for its LeaderIndex. It returns soon
	// after ctx ends, and with an error of [hawser.CodeUnavailable] when no
	// leader is known.
	ReadIndexAtLeader func(ctx context.Context) (uint64, error)
	// Machine is the own state machine.
	Machine Machine
	// OnAnswer gets every answer, late ones too; nil for none. It must be quick.
	OnAnswer func(voter string, a Answer)

	// RoundTimeout bounds a round and each question in it.
	RoundTimeout time.Duration
	// LeaderTimeout bounds one ReadIndexAtLeader.
	LeaderTimeout time.Duration
	// Tick is how often a leader runs a round without readers.
	Tick time.Duration
	// MaxWaiting bounds the callers that wait for one round.
	MaxWaiting int
}

func (c *Config) check() error {
	switch {
	case c.Self == "":
		return errors.New("read: config: Self is empty")
	case c.Term == nil, c.ReadyTerm == nil, c.CommitIndex == nil, c.Voters == nil, c.Ask == nil,
		c.ReadIndexAtLeader == nil, c.Machine == nil:
		return errors.New("read: config: a required function or the Machine is nil")
	}
	if c.RoundTimeout <= 0 {
		c.RoundTimeout = DefaultRoundTimeout
	}
	if c.LeaderTimeout <= 0 {
		c.LeaderTimeout = DefaultLeaderTimeout
	}
	if c.Tick <= 0 {
		c.Tick = DefaultTick
	}
	if c.MaxWaiting <= 0 {
		c.MaxWaiting = DefaultMaxWaiting
	}
	return nil
}
