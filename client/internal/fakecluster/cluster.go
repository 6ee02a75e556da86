// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package fakecluster is an in-memory cluster for the tests of the client: any
// number of nodes that share one state and answer over in-memory connections,
// with faults that a test scripts call by call.
//
// It follows the API's rules for conditions and request ids, replicates
// nothing, and counts how often each request was executed. It is safe for
// concurrent use.
package fakecluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Cluster is a set of nodes with one state. Make one with [Start].
type Cluster struct {
	mu         sync.Mutex // guards all below
	nodes      []*node
	leader     int // -1 for none
	term       uint64
	generation uint64
	revision   uint64
	agents     map[hawser.AgentID]*chain
	executions map[hawser.Nonce]int
	policies   map[string]*hawserv1.RetentionRules // by prefix, of one namespace
}

// node is one address.
type node struct {
	cluster *Cluster
	index   int
	// advertised is the client address that the node tells of itself.
	advertised string
	listener   *bufconn.Listener // nil while it is down
	server     *grpc.Server
	blackhole  bool
	fault      Fault
}

const buffer = 256 << 10

// Start returns a running cluster of n nodes at the addresses of
// [Cluster.Endpoints], led by the first.
func Start(n int) *Cluster {
	c := &Cluster{
		term: 1, generation: 1700000000, agents: map[hawser.AgentID]*chain{},
		executions: map[hawser.Nonce]int{}, policies: map[string]*hawserv1.RetentionRules{},
	}
	for i := range n {
		c.nodes = append(c.nodes, &node{cluster: c, index: i, advertised: address(i)})
	}
	for i := range n {
		c.StartNode(i)
	}
	return c
}

func address(i int) string { return fmt.Sprintf("node%d.test:7420", i+1) }

func nodeID(i int) string { return fmt.Sprintf("n%d-0000000%d", i+1, i+1) }

// Endpoints returns the addresses of the nodes, in order.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for i := range c.nodes {
		endpoints = append(endpoints, address(i))
	}
	return endpoints
}

// DialOptions make a client reach the nodes.
func (c *Cluster) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(c.dial)}
}

func (c *Cluster) dial(ctx context.Context, target string) (net.Conn, error) {
	c.mu.Lock()
	var listener *bufconn.Listener
	blackhole := false
	for i, n := range c.nodes {
		if target == address(i) {
			listener, blackhole = n.listener, n.blackhole
		}
	}
	c.mu.Unlock()
	switch {
	case blackhole:
		<-ctx.Done()
		return nil, ctx.Err()
	case listener == nil:
		return nil, errors.New("connection refused")
	}
	return listener.DialContext(ctx)
}

// StartNode starts a stopped node.
func (c *Cluster) StartNode(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[i]
	listener := bufconn.Listen(buffer)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(hawser.MaxStateSize+64<<10),
		grpc.UnaryInterceptor(n.intercept), grpc.StreamInterceptor(n.interceptStream))
	hawserv1.RegisterStateServer(server, &state{node: n})
	hawserv1.RegisterClusterServer(server, &membership{node: n})
	hawserv1.RegisterArchiveServer(server, &archive{node: n})
	n.listener, n.server = listener, server
	go func() { _ = server.Serve(listener) }() // ends with the server
}

// StopNode breaks all connections of a node and refuses new ones. If it led,
// the cluster has no leader until [Cluster.Lead].
func (c *Cluster) StopNode(i int) {
	c.mu.Lock()
	n := c.nodes[i]
	server := n.server
	n.listener, n.server = nil, nil
	if c.leader == i {
		c.leader = -1
	}
	c.mu.Unlock()
	if server != nil {
		server.Stop()
	}
}

// Stop stops every node.
func (c *Cluster) Stop() {
	for i := range c.nodes {
		c.StopNode(i)
	}
}

// Lead makes a node the leader, -1 for none.
func (c *Cluster) Lead(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = i
	c.term++
}

// Advertise makes a node tell another client address than it has.
func (c *Cluster) Advertise(i int, advertised string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i].advertised = advertised
}

// Blackhole makes new connections to a node hang, or no longer.
func (c *Cluster) Blackhole(i int, hang bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i].blackhole = hang
}

// NewGeneration begins another life of the cluster, with the same state.
func (c *Cluster) NewGeneration() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
}

// Executions returns how often the request with this nonce was executed.
func (c *Cluster) Executions(nonce hawser.Nonce) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.executions[nonce]
}

// MaxExecutions returns the most often that any request was executed.
func (c *Cluster) MaxExecutions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := 0
	for _, n := range c.executions {
		most = max(most, n)
	}
	return most
}

// headerLocked is what n answers with.
func (n *node) headerLocked() *hawserv1.Header {
	c := n.cluster
	h := &hawserv1.Header{
		Generation: c.generation, Revision: c.revision, Term: c.term, Node: nodeID(n.index),
		MachineTime: timestamppb.New(machineTime(c.revision)), ClusterId: make([]byte, 16),
	}
	if c.leader >= 0 {
		h.Leader, h.LeaderAddress = nodeID(c.leader), c.nodes[c.leader].advertised
	}
	return h
}

// machineTime runs a second a revision.
func machineTime(revision uint64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(revision) * time.Second)
}
