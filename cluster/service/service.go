// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/health"
	"github.com/hawserdb/hawser/cluster/lease"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/rebuild"
	"github.com/hawserdb/hawser/internal/wire"
)

// Proposer takes commands at the leader.
type Proposer interface {
	// Submit returns what the machine made of c. It fails with
	// hawser.ErrNotLeader or hawser.ErrUnavailable when c was not and will not
	// be executed, and with hawser.ErrOutcomeUnknown when it may have been.
	Submit(ctx context.Context, c fsm.Command) (fsm.Result, error)
}

// Reads gives linearizable points.
type Reads interface {
	// Wait returns when the machine reflects every write that was
	// acknowledged anywhere before the call.
	Wait(ctx context.Context) error
}

// Members changes the configuration; it runs at the leader.
type Members interface {
	Promote(ctx context.Context, node string, expect uint64) error
	Remove(ctx context.Context, node string, expect uint64, force bool) error
	Transfer(ctx context.Context, node string) error
}

// Backend is the node behind a Service. All fields are required.
type Backend struct {
	// Self is the node's ServerID.
	Self    string
	Machine *fsm.Machine
	// Gate is the node's; versions are rebuilt behind it.
	Gate     *rebuild.Gate
	Proposer Proposer
	Reads    Reads
	Members  Members
	// Leases has the deadlines while the node leads, Health how instances do, Hub what
	// happens here.
	Leases *lease.Manager
	Health *health.Manager
	Hub    *watch.Hub
	// Leader returns the leader and its client address as far as known.
	Leader func() wire.Leader
	// Now returns the cluster's clock as far as the node knows it: one that does
	// not lead may be late.
	Now func() time.Time
	// Term returns the Raft term, for diagnosis.
	Term func() uint64
	// Conn returns a connection to a node's peer port.
	Conn func(node string) (*grpc.ClientConn, error)
	// Compact frees at once what was removed from the node's store, and returns
	// what it then has on disk.
	Compact func(context.Context) (Disk, error)
	// Describe returns the node's own view of itself and the cluster. The
	// Service adds the header.
	Describe func() *hawserv1.StatusResponse
}

// Disk is what a node has on disk, in bytes.
type Disk struct {
	Engine, Log int64
	// LogAppended counts what was ever appended to the log.
	LogAppended int64
}

// Service implements the State, Archive, Coordination, Transactions, Messages,
// Health, Watch and Cluster services. Make one with [New].
type Service struct {
	hawserv1.UnimplementedStateServer
	hawserv1.UnimplementedClusterServer
	hawserv1.UnimplementedArchiveServer
	hawserv1.UnimplementedCoordinationServer
	hawserv1.UnimplementedWatchServer
	hawserv1.UnimplementedTransactionsServer
	hawserv1.UnimplementedMessagesServer
	hawserv1.UnimplementedCutsServer
	hawserv1.UnimplementedEffectsServer
	hawserv1.UnimplementedHealthServer

	backend atomic.Pointer[Backend]
	stopped atomic.Bool
	waiting func() string
	// These hold a token each for a save in parts, for a big state of a save
	// that is being verified, for a Verify, an Impact, an Export and an Import.
	uploads, unpacking, verifying, impacts, exporting, importing chan struct{}
	// choosing holds a token while the agents for a ClaimAny are chosen and claimed.
	choosing chan struct{}
}

// New returns a Service without a backend. waiting says what the node waits
// for until Start is called.
func New(waiting func() string) *Service {
	return &Service{
		waiting: waiting, uploads: make(chan struct{}, maxUploads), unpacking: make(chan struct{}, maxUnpacking),
		verifying: make(chan struct{}, maxVerifying), impacts: make(chan struct{}, maxImpacts),
		exporting: make(chan struct{}, maxExports), importing: make(chan struct{}, 1),
		choosing: make(chan struct{}, 1),
	}
}

// Start opens the Service for calls, unless Stop was called.
func (s *Service) Start(b *Backend) {
	s.backend.Store(b)
	if s.stopped.Load() {
		s.backend.Store(nil)
	}
}

// Stop closes it for good.
func (s *Service) Stop() {
	s.stopped.Store(true)
	s.backend.Store(nil)
}

func (s *Service) ready() (*Backend, error) {
	if b := s.backend.Load(); b != nil {
		return b, nil
	}
	return nil, &hawser.Error{Code: hawser.CodeUnavailable, Msg: s.waiting()}
}

// open is ready for what needs the state of the agents, which is incomplete
// while an archive is being restored.
func (s *Service) open() (*Backend, error) {
	b, err := s.ready()
	if err == nil && b.Machine.Info().Importing {
		err = errImporting()
	}
	return b, err
}

func errImporting() error {
	return &hawser.Error{Code: hawser.CodeUnavailable, Msg: "an archive is being restored into this cluster; wait until that is complete"}
}

// occupy takes one of the places for calls that cost much, and returns how to
// give it back, or refuses the call.
func occupy(places chan struct{}, what string) (release func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, &hawser.Error{Code: hawser.CodeOverloaded, Op: what, Msg: "this node works on as many such calls as it can; repeat it after a while"}
	}
}

// hint returns where the leader is, for answers that send the caller there.
func (s *Service) hint() wire.Leader {
	if b := s.backend.Load(); b != nil {
		return b.Leader()
	}
	return wire.Leader{}
}

// header describes an answer that reflects info; a write names its own
// revision.
func (b *Backend) header(info fsm.Info, revision hawser.Revision) *hawserv1.Header {
	leader := b.Leader()
	return &hawserv1.Header{
		Generation:    uint64(info.Generation),
		Revision:      uint64(revision),
		MachineTime:   timestamppb.New(b.Now()),
		Node:          b.Self,
		Leader:        leader.ID,
		LeaderAddress: leader.Address,
		Term:          b.Term(),
		ClusterId:     info.ClusterID[:],
	}
}

// maxCall bounds a call whose caller set no deadline.
const maxCall = 30 * time.Second
