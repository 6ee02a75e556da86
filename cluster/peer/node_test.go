// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser/internal/peerpb"
)

var (
	testSecret  = []byte("0123456789abcdef0123456789abcdef-secret")
	testCluster = [16]byte{0xc1, 1}
)

// node is a port with a gRPC server on it.
type node struct {
	*Port
	id      string
	boot    uint64
	address string
	log     *lines

	mu      sync.Mutex
	cluster [16]byte
	allowed map[string]bool
	book    map[string]string
	callers []Identity
}

type option func(*node, *Config)

func secret(s string) option { return func(_ *node, c *Config) { c.Secret = []byte(s) } }

func cluster(id [16]byte) option { return func(n *node, _ *Config) { n.cluster = id } }

func allow(ids ...string) option {
	return func(n *node, _ *Config) {
		for _, id := range ids {
			n.allowed[id] = true
		}
	}
}

// start opens a node on loopback that is closed with the test.
func start(tb testing.TB, id string, options ...option) *node {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	n := &node{id: id, address: l.Addr().String(), log: &lines{}, cluster: testCluster, allowed: map[string]bool{}, book: map[string]string{}}
	cfg := Config{
		Listener: l, Secret: testSecret, Identity: n.identity, AllowRaft: n.allow, Resolve: n.resolve,
		Logger: slog.New(slog.NewTextHandler(n.log, nil)),
	}
	for _, o := range options {
		o(n, &cfg)
	}
	n.Port, err = Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer(n.ServerOptions()...)
	peerpb.RegisterPeerServer(server, &service{node: n})
	server.RegisterService(&streamDesc, struct{}{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(n.RPC()) })
	tb.Cleanup(func() {
		server.Stop()
		_ = n.Close()
		serving.Wait()
	})
	return n
}

func (n *node) identity() Identity {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Identity{ClusterID: n.cluster, NodeID: n.id, BootID: n.boot}
}

func (n *node) allow(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.allowed[id]
}

func (n *node) resolve(id string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.book[id]
	return a, ok
}

// knows puts the address of others into n's book.
func (n *node) knows(others ...*node) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range others {
		n.book[o.id] = o.address
	}
	return n
}

func (n *node) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.allowed, id)
}

// peer returns n's client for id.
func (n *node) peer(tb testing.TB, id string) peerpb.PeerClient {
	tb.Helper()
	cc, err := n.Conn(id)
	if err != nil {
		tb.Fatal(err)
	}
	return peerpb.NewPeerClient(cc)
}

// service answers with what the test looks at.
type service struct {
	peerpb.UnimplementedPeerServer
	node *node
}

func (s *service) note(ctx context.Context) {
	remote, _ := RemoteFrom(ctx)
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	s.node.callers = append(s.node.callers, remote)
}

func (s *service) Term(ctx context.Context, r *peerpb.TermRequest) (*peerpb.TermResponse, error) {
	s.note(ctx)
	return &peerpb.TermResponse{Node: s.node.id, Term: r.GetTerm()}, nil
}

func (s *service) Promise(ctx context.Context, r *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	s.note(ctx)
	return &peerpb.PromiseResponse{Node: s.node.id, ClusterId: r.GetClusterId()}, nil
}

func (s *service) Join(ctx context.Context, _ *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	s.note(ctx)
	return &peerpb.JoinResponse{}, nil
}

// streamDesc is a service with one streaming method.
var streamDesc = grpc.ServiceDesc{
	ServiceName: "test.Streams",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		return s.SendMsg(&peerpb.BookResponse{Leader: "from the stream"})
	}}},
}

// watch calls the streaming method.
func watch(ctx context.Context, cc *grpc.ClientConn) (string, error) {
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Streams/Watch")
	if err != nil {
		return "", err
	}
	_ = s.SendMsg(&peerpb.BookRequest{})
	_ = s.CloseSend()
	var m peerpb.BookResponse
	err = s.RecvMsg(&m)
	return m.GetLeader(), err
}

// lines collects log output.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// within polls until ok holds.
func within(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	for begin := time.Now(); !ok(); {
		if time.Since(begin) > limit {
			tb.Fatalf("%s: not within %v", what, limit)
		}
		select {
		case <-tb.Context().Done():
			tb.Fatal(tb.Context().Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// goroutines returns the stacks that run code of this package or of gRPC, the
// caller's left out.
func goroutines() []string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "testing.tRunner") {
			continue
		}
		if strings.Contains(stack, "hawser/cluster/peer.") || strings.Contains(stack, "google.golang.org/grpc") || strings.Contains(stack, "crypto/tls") {
			found = append(found, stack)
		}
	}
	return found
}
