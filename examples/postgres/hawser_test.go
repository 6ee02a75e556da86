// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser/internal/freeport"
)

// node is a process of the cluster.
type node struct {
	client, peer, gossip, http string
	args                       []string
	log                        string

	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.Closer // closing it ends the node, as the end of this process does
}

// cluster is three nodes of the built program.
type cluster struct {
	program string
	nodes   []*node
}

// startCluster builds hawser, unless HAWSER_BIN names it, and starts three nodes
// in dir.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{program: os.Getenv("HAWSER_BIN")}
	if c.program == "" {
		c.program = filepath.Join(dir, "hawser")
		if out, err := exec.CommandContext(ctx, "go", "-C", "../..", "build", "-o", c.program, "./cmd/hawser").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build hawser: %w\n%s", err, out)
		}
	}
	secret := filepath.Join(dir, "secret")
	if out, err := exec.CommandContext(ctx, c.program, "secret", "generate", "-f", secret).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a secret: %w\n%s", err, out)
	}
	const count = 3
	var peers []string
	ports, err := freeport.Take(4 * count)
	if err != nil {
		return nil, err
	}
	for i := range count {
		at := func(use int) string { return fmt.Sprintf("127.0.0.1:%d", ports[4*i+use]) }
		c.nodes = append(c.nodes, &node{client: at(0), peer: at(1), gossip: at(2), http: at(3)})
		peers = append(peers, at(1))
	}
	for i, n := range c.nodes {
		name := fmt.Sprint("n", i+1)
		n.log = filepath.Join(dir, name+".log")
		n.args = []string{
			"server", "--stop-with-stdin", "--name", name, "--data-dir", filepath.Join(dir, name), "--cluster-secret-file", secret,
			"--client-addr", n.client, "--peer-addr", n.peer, "--gossip-addr", n.gossip, "--http-addr", n.http,
			"--bootstrap-expect", fmt.Sprint(count), "--join", strings.Join(peers, ","),
		}
		if err := n.start(c.program); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	for _, n := range c.nodes {
		if err := n.ready(ctx); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

func (c *cluster) endpoints() (endpoints []string) {
	for _, n := range c.nodes {
		endpoints = append(endpoints, n.client)
	}
	return endpoints
}

// at returns the node with a client address.
func (c *cluster) at(address string) *node {
	for _, n := range c.nodes {
		if n.client == address {
			return n
		}
	}
	return nil
}

func (c *cluster) stop() (err error) {
	for _, n := range c.nodes {
		err = errors.Join(err, n.kill())
	}
	return err
}

func (n *node) start(program string) error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the node has its own
	cmd := exec.Command(program, n.args...)
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd, n.stdin = cmd, stdin
	return nil
}

// kill ends the node as a power cut would. One that never ran is no error.
func (n *node) kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return nil
	}
	err := n.cmd.Process.Kill()
	_ = n.cmd.Wait() // it was killed
	_ = n.stdin.Close()
	n.cmd = nil
	return err
}

// ready waits until the node says that it is.
func (n *node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			text, _ := os.ReadFile(n.log)
			return fmt.Errorf("a node is not ready: %w; its log:\n%s", ctx.Err(), text)
		}
	}
}
