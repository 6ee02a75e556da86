// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config describes a local cluster.
type Config struct {
	// Path is the hawser executable.
	Path string
	// Nodes are where its nodes live, by [Plan] or [PlanFree].
	Nodes []Node
	// Founders is how many of them, the first ones, found the cluster; the others
	// join it, when they are started one by one. 0 means all.
	Founders int
	// SecretFile holds the cluster secret.
	SecretFile string
	// Args are added to every node's arguments.
	Args []string
	// Env is the environment of the nodes; nil inherits.
	Env []string
	// Within returns the command that runs node i as its last arguments, such as
	// [Network.Within]; nil runs it directly. The command must become the node:
	// whatever signals the process signals the node.
	Within func(i int) []string
}

// Cluster is a local cluster. Its methods may be called from any goroutine.
type Cluster struct {
	cfg Config

	mu        sync.Mutex
	paths     []string   // the executable of each node
	processes []*Process // the newest of each node, nil before its first start
}

// NewCluster returns a cluster of which no node runs yet.
func NewCluster(cfg Config) *Cluster {
	if cfg.Founders == 0 {
		cfg.Founders = len(cfg.Nodes)
	}
	paths := slices.Repeat([]string{cfg.Path}, len(cfg.Nodes))
	return &Cluster{cfg: cfg, paths: paths, processes: make([]*Process, len(cfg.Nodes))}
}

func (c *Cluster) founders() []Node { return c.cfg.Nodes[:c.cfg.Founders] }

// Nodes returns where the nodes live. The caller must not change it.
func (c *Cluster) Nodes() []Node { return c.cfg.Nodes }

// Endpoints returns the client addresses of the founders.
func (c *Cluster) Endpoints() []string {
	endpoints := make([]string, c.cfg.Founders)
	for i, n := range c.founders() {
		endpoints[i] = n.Client
	}
	return endpoints
}

// Args returns the arguments with which node i is started.
func (c *Cluster) Args(i int) []string {
	n := c.cfg.Nodes[i]
	args := []string{
		"server", "--stop-with-stdin", "--name", n.Name, "--data-dir", n.Dir,
		"--client-addr", n.at(n.Client), "--peer-addr", n.at(n.Peer), "--gossip-addr", n.at(n.Gossip), "--http-addr", n.at(n.HTTP),
		"--cluster-secret-file", c.cfg.SecretFile,
	}
	if n.Listens != "" {
		host, _, _ := net.SplitHostPort(n.Peer)
		args = append(args, "--advertise-host", host)
	}
	if i < c.cfg.Founders {
		args = append(args, "--bootstrap-expect", strconv.Itoa(c.cfg.Founders))
	}
	if len(c.cfg.Nodes) > 1 {
		peers := make([]string, c.cfg.Founders)
		for i, n := range c.founders() {
			peers[i] = n.Peer
		}
		args = append(args, "--join", strings.Join(peers, ","))
	}
	return append(args, c.cfg.Args...)
}

// Use says with which executable node i is started from now on.
func (c *Cluster) Use(i int, path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths[i] = path
}

// Start starts node i. Its data directory is made if need be.
func (c *Cluster) Start(i int) error {
	n := c.cfg.Nodes[i]
	if err := os.MkdirAll(filepath.Dir(n.Dir), 0o700); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	c.mu.Lock()
	line := append([]string{c.paths[i]}, c.Args(i)...)
	c.mu.Unlock()
	if c.cfg.Within != nil {
		line = append(c.cfg.Within(i), line...)
	}
	p, err := Start(Command{Path: line[0], Args: line[1:], Env: c.cfg.Env, Log: n.Log})
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes[i] = p
	return nil
}

// StartAll starts every founder. When one cannot be started the others are
// killed.
func (c *Cluster) StartAll() error {
	for i := range c.founders() {
		if err := c.Start(i); err != nil {
			return errors.Join(err, c.KillAll())
		}
	}
	return nil
}

// Process returns the newest process of node i, nil when it was never started.
func (c *Cluster) Process(i int) *Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[i]
}

// readyPoll is the time between two questions whether a node is ready.
const readyPoll = 50 * time.Millisecond

// Ready waits until node i says that it is ready. It fails at once when the
// process ends, with the end of its log, and when ctx ends, with what the
// node said last.
func (c *Cluster) Ready(ctx context.Context, i int) error {
	n, p := c.cfg.Nodes[i], c.Process(i)
	if p == nil {
		return fmt.Errorf("node %s was not started", n.Name)
	}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		last := ask(ctx, "http://"+n.HTTP+"/readyz")
		if last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return fmt.Errorf("node %s ended with code %d; the end of %s:\n%s", n.Name, p.ExitCode(), n.Log, p.Tail(2000))
		case <-ctx.Done():
			return fmt.Errorf("node %s is not ready (%w); see %s", n.Name, last, n.Log)
		}
	}
}

// ReadyAll waits for every founder.
func (c *Cluster) ReadyAll(ctx context.Context) error {
	for i := range c.founders() {
		if err := c.Ready(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text := make([]byte, 200)
		n, _ := response.Body.Read(text)
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text[:n])))
	}
	return nil
}

// StopAll ends every running node gracefully and kills those that still run
// when ctx ends.
func (c *Cluster) StopAll(ctx context.Context) error {
	return c.each(func(p *Process) error { return p.Stop(ctx) })
}

// KillAll ends every running node at once.
func (c *Cluster) KillAll() error {
	return c.each((*Process).Kill)
}

func (c *Cluster) each(end func(*Process) error) error {
	c.mu.Lock()
	running := append([]*Process(nil), c.processes...)
	c.mu.Unlock()
	errs := make([]error, len(running))
	var group sync.WaitGroup
	for i, p := range running {
		if p != nil {
			group.Go(func() { errs[i] = end(p) })
		}
	}
	group.Wait()
	return errors.Join(errs...)
}
