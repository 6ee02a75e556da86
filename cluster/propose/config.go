// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// Defaults of [Config].
const (
	DefaultMaxBatchBytes = maxEntry - entryOverhead
	DefaultMaxInFlight   = 2
	DefaultMaxQueueBytes = 64 << 20
	DefaultMaxQueue      = 16384
	DefaultMaxBulk       = 64
	DefaultTimeout       = 10 * time.Second
)

const (
	// maxEntry is the largest log entry. Entries of up to that size keep the
	// leader's loop, the followers' fsync and heartbeats even.
	maxEntry = 256 << 10
	// maxCommandBytes is the largest encoded command. A save with all that may
	// go inline takes two thirds of it; what is longer travels in parts.
	maxCommandBytes = maxEntry - entryOverhead
)

// Raft is the part of consensus that a Proposer uses. Term and IsLeader are
// called under a mutex: they must be quick and call nothing of ours.
type Raft interface {
	// Propose hands one entry to raft and keeps data. Nil means handed over,
	// nothing more. An error means that raft did not take it, unless it
	// matches hawser.ErrOutcomeUnknown.
	Propose(data []byte) error
	// Term is the current term.
	Term() uint64
	// IsLeader reports whether the node leads in the current term.
	IsLeader() bool
}

// Machine is the part of the state machine that a Proposer uses.
type Machine interface {
	// Info is what the last applied batch left. It must be quick.
	Info() fsm.Info
}

// Leadership says that the node began to lead in Term, or stopped.
type Leadership struct {
	Term   uint64
	Leader bool
}

// Config configures a [Proposer]. Zero values mean the defaults where there is
// one.
type Config struct {
	Raft    Raft
	Machine Machine
	// Clock makes the stamps. The Proposer is the only one to Reset it.
	Clock *Clock
	// Node is the own id; ClusterID and Generation are those with which the
	// cluster begins, for the first LeaderStart of all.
	Node       string
	ClusterID  func() [16]byte
	Generation func() uint64
	// Sample asks the voters for their wall clocks, which reach the Clock by
	// Observe, and returns once a majority answered. A new leader calls it
	// before its first entry. Nil for none, as with a single voter.
	Sample func(ctx context.Context, term uint64) error
	// StorageFull reports that no majority of the voters has room to grow.
	// Nil for never. It must be quick.
	StorageFull func() bool
	// Held returns why no command but an audit is taken at the moment, nil if one
	// is. Nil for never. It must be quick.
	Held func() error
	// MaxBatchBytes bounds the commands of one entry; a larger command goes
	// alone. Larger batches delay whoever waits behind them.
	MaxBatchBytes int
	// MaxInFlight bounds the entries of each lane that are handed over and not
	// applied.
	MaxInFlight int
	// MaxBulk bounds the commands of the bulk lane that wait or are under way,
	// of 128 KiB each. Further ones are not refused but wait in Submit.
	MaxBulk int
	// MaxQueueBytes and MaxQueue bound what waits to be handed over.
	MaxQueueBytes, MaxQueue int
	// Timeout bounds how long a batch waits to be applied.
	Timeout time.Duration
	Logger  *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.Raft == nil, c.Machine == nil, c.Clock == nil, c.ClusterID == nil, c.Generation == nil:
		return errors.New("propose: config: Raft, Machine, Clock, ClusterID or Generation is nil")
	case c.Node == "":
		return errors.New("propose: config: Node is empty")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	orDefault(&c.MaxBatchBytes, DefaultMaxBatchBytes)
	orDefault(&c.MaxInFlight, DefaultMaxInFlight)
	orDefault(&c.MaxQueueBytes, DefaultMaxQueueBytes)
	orDefault(&c.MaxQueue, DefaultMaxQueue)
	orDefault(&c.MaxBulk, DefaultMaxBulk)
	return nil
}

func orDefault(value *int, def int) {
	if *value <= 0 {
		*value = def
	}
}
