// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package hawsertest runs a Hawser cluster inside a test: real nodes with real
// files and sockets on loopback, in the test's own process.
//
//	func TestMyAgent(t *testing.T) {
//		c := hawsertest.Start(t)
//		...
//	}
//
// A cluster of three shows what the agent does when a leader dies:
//
//	cluster := hawsertest.StartCluster(t, 3)
//	c := cluster.Client()
//	cluster.KillLeader()
//
// Everything is stopped and removed when the test ends. States are as durable
// as in production, but a "kill" is only as hard as it can be within one
// process; the project's own fault tests kill processes.
package hawsertest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/internal/freeport"
)

// readyTime bounds every wait for the cluster.
const readyTime = 30 * time.Second

// Start starts a cluster of one node and returns a client for it. The test
// fails if that takes longer than 30 seconds.
func Start(t testing.TB) *client.Client {
	t.Helper()
	return StartCluster(t, 1).Client()
}

// Cluster is a running cluster. Its methods are for the test's goroutine.
type Cluster struct {
	t       testing.TB
	nodes   []*cluster.Node // nil while stopped
	configs []cluster.Config
	client  *client.Client
}

// Option changes how a cluster is started.
type Option func(*cluster.Config)

// WithConfig changes the configuration of every node before it starts.
func WithConfig(change func(*cluster.Config)) Option { return change }

// StartCluster starts a cluster of n nodes and returns when all are ready.
func StartCluster(t testing.TB, n int, options ...Option) *Cluster {
	t.Helper()
	c := PrepareCluster(t, n, options...)
	for i := range n {
		c.StartNode(i)
	}
	for i := range n {
		c.AwaitReady(i)
	}
	return c
}

// PrepareCluster configures a cluster of n nodes and starts none of them.
func PrepareCluster(t testing.TB, n int, options ...Option) *Cluster {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(peer.NewSecret()+"\n"), 0o600); err != nil {
		t.Fatalf("hawsertest: %v", err)
	}
	c := &Cluster{t: t, nodes: make([]*cluster.Node, n)}
	t.Cleanup(c.stop)
	peers := make([]string, n)
	for i := range peers {
		peers[i] = freeAddr(t)
	}
	var endpoints []string
	for i := range n {
		cfg := cluster.Config{
			DataDir: filepath.Join(dir, fmt.Sprintf("n%d", i+1)), Name: fmt.Sprintf("n%d", i+1), SecretFile: secret,
			ClientAddr: freeAddr(t), PeerAddr: peers[i], GossipAddr: freeAddr(t), HTTPAddr: "127.0.0.1:0",
			BootstrapExpect: n, Join: peers, MinFreeDisk: -1, Logger: logger(t, i+1),
			Tuning: cluster.Tuning{
				BallastBytes: -1,
				Raft:         consensus.Timeouts{Heartbeat: 500 * time.Millisecond, Lease: 400 * time.Millisecond},
			},
		}
		for _, change := range options {
			change(&cfg)
		}
		c.configs = append(c.configs, cfg)
		endpoints = append(endpoints, cfg.ClientAddr)
	}
	var err error
	if c.client, err = client.Dial(client.Config{Endpoints: endpoints}); err != nil {
		t.Fatalf("hawsertest: %v", err)
	}
	return c
}

// Client returns a client that knows all nodes. It is closed with the test.
func (c *Cluster) Client() *client.Client { return c.client }

// Size returns the number of nodes, running or not.
func (c *Cluster) Size() int { return len(c.nodes) }

// Endpoint returns the client address of node i, counted from 0.
func (c *Cluster) Endpoint(i int) string { return c.configs[i].ClientAddr }

// Node returns node i, nil while it is stopped.
func (c *Cluster) Node(i int) *cluster.Node { return c.nodes[i] }

// Config returns the configuration of node i.
func (c *Cluster) Config(i int) cluster.Config { return c.configs[i] }

// Configure changes the configuration of node i, which must be stopped.
func (c *Cluster) Configure(i int, change func(*cluster.Config)) { change(&c.configs[i]) }

// Leader waits for a leader and returns which node it is.
func (c *Cluster) Leader() int {
	c.t.Helper()
	leader := -1
	c.Eventually("a leader", func() error {
		for i, n := range c.nodes {
			if n != nil && n.Leads() {
				leader = i
				return nil
			}
		}
		return fmt.Errorf("no node leads")
	})
	return leader
}

// Kill stops node i without a good-bye.
func (c *Cluster) Kill(i int) {
	c.nodes[i].Crash()
	c.nodes[i] = nil
}

// KillLeader kills the leader and returns which node it was.
func (c *Cluster) KillLeader() int {
	c.t.Helper()
	i := c.Leader()
	c.Kill(i)
	return i
}

// Stop stops node i gracefully.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	if err := c.nodes[i].Close(context.Background()); err != nil {
		c.t.Errorf("hawsertest: stop node %d: %v", i+1, err)
	}
	c.nodes[i] = nil
}

// Restart starts node i again, with its files, and waits until it is ready.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	c.StartNode(i)
	c.AwaitReady(i)
}

// Join starts one more node, which joins the cluster as a standby, and
// returns its number.
func (c *Cluster) Join() int {
	c.t.Helper()
	i := len(c.nodes)
	cfg := c.configs[0]
	cfg.Name = fmt.Sprintf("n%d", i+1)
	cfg.DataDir = filepath.Join(filepath.Dir(cfg.DataDir), cfg.Name)
	cfg.ClientAddr, cfg.PeerAddr, cfg.GossipAddr = freeAddr(c.t), freeAddr(c.t), freeAddr(c.t)
	cfg.BootstrapExpect, cfg.Logger = 0, logger(c.t, i+1)
	c.configs, c.nodes = append(c.configs, cfg), append(c.nodes, nil)
	c.Restart(i)
	return i
}

// Wipe removes all files of node i, which must be stopped. Started again, it
// is a new node with the old name at the old addresses.
func (c *Cluster) Wipe(i int) {
	c.t.Helper()
	if err := os.RemoveAll(c.configs[i].DataDir); err != nil {
		c.t.Fatalf("hawsertest: %v", err)
	}
}

// StartNode starts node i, which is stopped, and does not wait for it.
func (c *Cluster) StartNode(i int) {
	c.t.Helper()
	node, err := cluster.Open(context.Background(), c.configs[i])
	if err != nil {
		c.t.Fatalf("hawsertest: start node %d: %v", i+1, err)
	}
	c.nodes[i] = node
}

// AwaitReady waits until node i is ready.
func (c *Cluster) AwaitReady(i int) {
	c.t.Helper()
	c.Eventually(fmt.Sprintf("node %d ready", i+1), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := c.nodes[i].Err(); err != nil {
			c.t.Fatalf("hawsertest: node %d stopped itself: %v", i+1, err)
		}
		return c.nodes[i].Ready(ctx)
	})
}

// Eventually calls check until it returns nil, and fails the test with its
// last error after 30 seconds.
func (c *Cluster) Eventually(what string, check func() error) {
	c.t.Helper()
	deadline := time.Now().Add(readyTime)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("hawsertest: %s: not within %v: %v", what, readyTime, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *Cluster) stop() {
	if c.client != nil {
		_ = c.client.Close()
	}
	for i, node := range c.nodes {
		if node == nil {
			continue
		}
		if err := node.Close(context.Background()); err != nil {
			c.t.Errorf("hawsertest: stop node %d: %v", i+1, err)
		}
	}
}

// freeAddr returns a loopback address that is nobody's.
func freeAddr(t testing.TB) string {
	t.Helper()
	port, err := freeport.Take(1)
	if err != nil {
		t.Fatalf("hawsertest: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port[0])
}

// logger writes warnings of node i to the test's log, or everything with
// HAWSERTEST_LOG=debug.
func logger(t testing.TB, i int) *slog.Logger {
	t.Helper()
	level := slog.LevelError + 4
	if text := os.Getenv("HAWSERTEST_LOG"); text != "" { //nolint:forbidigo // a switch for whoever looks into a failed test
		_ = level.UnmarshalText([]byte(strings.ToUpper(text)))
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level})).With("n", i)
}
