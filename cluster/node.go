// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/cluster/service"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/durable"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// Tuning holds what tests and measurements change. Zero values mean the
// defaults of the packages concerned.
type Tuning struct {
	Raft      consensus.Timeouts
	Retention consensus.Retention
	// Stabilise is how long a member must be in a state before the
	// controller acts on it.
	Stabilise time.Duration
	// BallastBytes is the size of the ballast file; negative: none.
	BallastBytes int64
	// CacheBytes and MemTableBytes size the engine.
	CacheBytes, MemTableBytes int64
	// FetchBytesPerSecond bounds what others that are far behind may fetch of
	// this node's state together.
	FetchBytesPerSecond int64
	// ScrubDelay is the time from a save to its verification.
	ScrubDelay time.Duration
}

// Node is one node of a cluster. Its methods may be called from any goroutine.
type Node struct {
	cfg     Config
	log     *slog.Logger
	id      string
	started time.Time
	// bootID is a random number of this start.
	bootID uint64

	dir     *membership.Directory
	book    *membership.Book
	machine *fsm.Machine
	port    *peer.Port
	founder *membership.Founder
	joiner  *membership.Joiner
	service *service.Service
	health  *health.Server

	clientAddr, peerAddr, httpAddr string
	gossipKey                      []byte

	clients *grpcServer
	peers   *grpcServer
	http    *httpServer
	core    atomic.Pointer[core]
	// settled is closed once the node belongs to a cluster and serves.
	settled   chan struct{}
	isReady   atomic.Bool
	lastSpace atomic.Value // space

	stop    context.CancelFunc
	running sync.WaitGroup

	haltOnce sync.Once
	// quarantining is the writing of the quarantine file.
	quarantining sync.WaitGroup
	haltErr      error
	// done is closed when the node has stopped itself or was closed.
	done      chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// Open starts a node. It returns once the node listens; the node then founds
// or joins its cluster in the background. An error names what is wrong and
// where; a *halt.Error in it carries the exit code. Nothing is left running
// after an error.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg.withDefaults(), started: time.Now(), bootID: rand.Uint64(), health: health.NewServer(),
		settled: make(chan struct{}), done: make(chan struct{}),
	}
	n.log = n.cfg.Logger
	n.service = service.New(n.waiting)
	if err := n.open(); err != nil { //nolint:contextcheck // what it starts lives until Close
		return nil, errors.Join(err, n.Close(ctx))
	}
	return n, nil
}

func (n *Node) part(name string) *slog.Logger { return n.log.With("component", name) }

// open opens the parts in order. What it opened before an error is closed by
// Close.
func (n *Node) open() error {
	if err := n.openDirectory(); err != nil {
		return err
	}
	ports, err := listen(n.cfg)
	if err != nil {
		return err
	}
	n.clientAddr = n.cfg.advertised(ports.client.Addr())
	n.peerAddr = n.cfg.advertised(ports.peer.Addr())
	n.httpAddr = n.cfg.advertised(ports.http.Addr())
	if err := n.openMachine(); err != nil {
		return errors.Join(err, ports.close())
	}
	if err := n.openPort(ports); err != nil {
		return errors.Join(err, ports.close())
	}
	if err := n.serve(ports); err != nil {
		return errors.Join(err, ports.close())
	}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.running.Go(func() { n.run(ctx) })
	n.running.Go(func() { n.watch(ctx) })
	n.log.Info("node started", "id", n.id, "client", n.clientAddr, "peer", n.peerAddr, "http", n.httpAddr)
	return nil
}

func (n *Node) openDirectory() error {
	dir, err := membership.OpenDirectory(n.cfg.DataDir, n.cfg.Name, membership.DirectoryOptions{
		Halt: n.halt, BallastBytes: n.cfg.Tuning.BallastBytes,
	})
	if err != nil {
		return err
	}
	n.dir, n.book = dir, membership.NewBook(dir.Node())
	n.id = dir.Node().State().Node
	n.log = n.log.With("node", n.id)
	// Before the engine: a damaged one can take long to open.
	if err := consensus.CheckQuarantine(dir.Path()); err != nil {
		return err
	}
	if _, err := dir.EnsureBallast(); err != nil {
		return halt.Wrap(halt.Directory, dir.Path(), err)
	}
	logFiles := "wal"
	if n.cfg.LogStore == "boltdb" {
		logFiles = "log.db"
	}
	return dir.Require("state", "stable.db", logFiles)
}

func (n *Node) openMachine() error {
	machine, err := fsm.Open(filepath.Join(n.dir.Path(), "state"), fsm.Options{
		Logger: n.part("state"), Halt: n.halt, CacheBytes: n.cfg.Tuning.CacheBytes, MemTableBytes: n.cfg.Tuning.MemTableBytes,
	})
	n.machine = machine
	return err
}

func (n *Node) openPort(ports listeners) error {
	secret, err := n.secret()
	if err != nil {
		return err
	}
	n.gossipKey = peer.GossipKey(secret)
	n.port, err = peer.Open(peer.Config{
		Listener: ports.peer, Secret: secret, Logger: n.part("peer"), Resolve: n.book.Resolve,
		Identity: func() peer.Identity {
			id, _ := n.dir.Node().State().Identity()
			return peer.Identity{ClusterID: id, NodeID: n.id, BootID: n.bootID}
		},
		AllowRaft: func(node string) bool {
			c := n.core.Load()
			return c != nil && c.elders.allow(node)
		},
	})
	return err
}

// secret returns the cluster secret. A node that starts alone makes one.
func (n *Node) secret() ([]byte, error) {
	if n.cfg.SecretFile != "" {
		return peer.LoadSecret(n.cfg.SecretFile)
	}
	path := filepath.Join(n.dir.Path(), "secret")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := durable.WriteFile(path, []byte(peer.NewSecret()+"\n")); err != nil {
			return nil, fmt.Errorf("cluster secret: %w", err)
		}
	}
	return peer.LoadSecret(path)
}

// serve builds the core and the servers and starts them.
func (n *Node) serve(ports listeners) error {
	calls, gatherer, err := n.metrics()
	if err != nil {
		return err
	}
	secure, err := n.clientTLS()
	if err != nil {
		return err
	}
	c, err := newCore(n)
	if err != nil {
		return err
	}
	n.core.Store(c)
	if err := n.prepareMembership(c); err != nil {
		return err
	}
	n.peers = serveGRPC(n.port.RPC(), n.peersServer())
	n.clients = serveGRPC(ports.client, n.clientServer(calls.observe, secure...))
	n.http = serveHTTP(ports.http, gatherer, n.healthy, n.Ready)
	return nil
}

// prepareMembership makes the founder or the joiner that run will use.
func (n *Node) prepareMembership(c *core) error {
	self := membership.Address{ID: n.id, Peer: n.peerAddr}
	canonical, err := membership.CanonicalAddress(n.peerAddr)
	if err != nil {
		return err
	}
	self.Peer = canonical
	dialer := founderDialer{port: n.port}
	founding := membership.FounderConfig{
		Self: self, Store: n.dir.Node(), Dialer: dialer, Replica: c.replica, FeatureLevel: fsm.MaxLevel, Logger: n.part("membership"),
	}
	if n.cfg.BootstrapExpect > 0 {
		founding.StartLine, err = membership.NewStartLine(n.cfg.BootstrapExpect, self.Peer, n.cfg.Join)
		if err != nil {
			return err
		}
	}
	if n.founder, err = membership.NewFounder(founding); err != nil {
		return err
	}
	if n.cfg.BootstrapExpect > 0 {
		return nil
	}
	n.joiner, err = membership.NewJoiner(membership.JoinConfig{
		Self: self, FeatureLevel: fsm.MaxLevel, Addresses: n.cfg.Join, Dialer: dialer, Store: n.dir.Node(), Logger: n.part("membership"),
	})
	return err
}

// run makes the node a member of a cluster, then opens it for clients.
func (n *Node) run(ctx context.Context) {
	if err := n.becomeMember(ctx); err != nil {
		if ctx.Err() == nil {
			n.halt(err)
		}
		return
	}
	if err := n.belong(ctx); err != nil {
		n.halt(err)
		return
	}
	n.log.Info("node belongs to the cluster")
}

func (n *Node) becomeMember(ctx context.Context) error {
	if n.joiner != nil {
		if n.core.Load().replica.HasState() {
			return membership.MarkStarted(n.dir.Node())
		}
		return n.joiner.Run(ctx)
	}
	return n.founder.Run(ctx)
}

// waiting says what the node waits for until it serves, or why it serves no
// more.
func (n *Node) waiting() string {
	if err := n.Err(); err != nil {
		return "this node stops itself: " + err.Error()
	}
	why := "it is starting"
	if n.founder != nil && n.founder.Waiting() != "" {
		why = n.founder.Waiting()
	}
	if n.joiner != nil && n.joiner.Waiting() != "" {
		why = n.joiner.Waiting()
	}
	return "this node does not belong to a cluster yet: " + why
}

func (n *Node) grant(ctx context.Context, r *peerpb.PromiseRequest, caller string) (*peerpb.PromiseResponse, error) {
	resp, err := n.founder.Grant(ctx, r, caller)
	if err != nil {
		n.halt(err)
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "promise", Err: err}
	}
	return resp, nil
}

// runningCore returns the node's core once it runs.
func (n *Node) runningCore() (*core, error) {
	if c := n.core.Load(); c != nil {
		return c, nil
	}
	return nil, &hawser.Error{Code: hawser.CodeUnavailable, Msg: "this node is starting or stopping"}
}

// joined returns the core once the node belongs to a cluster.
func (n *Node) joined() (*core, error) {
	select {
	case <-n.settled:
		return n.runningCore()
	default:
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Msg: n.waiting()}
	}
}

// halt is the halt.Func of everything in the node: it stops the node from
// taking further part. It does not wait.
func (n *Node) halt(err error) {
	n.haltOnce.Do(func() {
		n.haltErr = err
		n.log.Error("node stops itself", "error", err)
		n.service.Stop()
		// Beside it, since the damaged disk may hang, and the process must end.
		n.quarantining.Go(func() { n.quarantine(err) })
		close(n.done)
	})
}

// quarantine closes the data directory if err says that what it holds is
// damaged, or not what the other replicas hold. Damage in one file of the engine is met only where that file is
// read, so that without it the next start would vote, lead and serve again.
func (n *Node) quarantine(err error) {
	stopped, ok := errors.AsType[*halt.Error](err)
	if !ok || stopped.Reason != halt.Damaged && stopped.Reason != halt.Diverged || n.dir == nil {
		return
	}
	if err := consensus.Quarantine(n.dir.Path(), err); err != nil {
		n.log.Error("could not write the quarantine file", "error", err)
	}
}

// ID returns the node's ServerID.
func (n *Node) ID() string { return n.id }

// ClientAddr returns the address under which clients reach the node.
func (n *Node) ClientAddr() string { return n.clientAddr }

// PeerAddr returns the address under which other nodes reach the node.
func (n *Node) PeerAddr() string { return n.peerAddr }

// HTTPAddr returns the address of probes and metrics.
func (n *Node) HTTPAddr() string { return n.httpAddr }

// Leads reports whether the node leads the cluster and serves.
func (n *Node) Leads() bool {
	c := n.core.Load()
	return c != nil && c.leads()
}

// Done is closed when the node has stopped itself or was closed.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns why the node stopped itself, nil while it has not. Call it
// after Done is closed.
func (n *Node) Err() error {
	select {
	case <-n.done:
		return n.haltErr
	default:
		return nil
	}
}
