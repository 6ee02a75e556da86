// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/internal/trace"
)

const (
	// maxTraceAgents bounds the agents of one run, maxTraceHistories the
	// synthetic histories that they share.
	maxTraceAgents    = 1024
	maxTraceHistories = 16
	traceSteps        = 60
)

func (p *program) benchTrace() *cli.Command {
	return &cli.Command{
		Name: "trace", Usage: "measure what whole histories of agents cost",
		Description: `Every agent saves a whole history step by step, all agents at once, and restores
its head at the end. The histories are synthetic, or those in a directory: files
0001.json, 0002.json, ... or folders of such files, which the agents share. Says
what was sent and what the nodes have on disk for it; run it on a cluster with
nothing else to do. --keyframes sends whole states only, to compare with.

Examples:
   hawser bench trace --agents 4 --steps 20
   hawser bench trace --agents 4 --steps 20 --keyframes -o json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "save the histories in `DIR` instead of synthetic ones"},
			&cli.IntFlag{Name: "agents", Value: 16, Usage: "run `N` agents at once"},
			&cli.IntFlag{Name: "steps", Usage: "save at most `N` versions of each history", DefaultText: "every file, or 60 synthetic ones"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "make the synthetic histories from `SEED`"},
			&cli.BoolFlag{Name: "keyframes", Usage: "send whole states, never deltas"},
		},
		Action: p.runBenchTrace,
	}
}

func (p *program) runBenchTrace(c *cli.Context) error {
	agents, steps := c.Int("agents"), c.Int("steps")
	if agents < 1 || agents > maxTraceAgents {
		return usageErrorf("--agents %d: from 1 to %d", agents, maxTraceAgents)
	}
	if steps < 0 {
		return usageErrorf("--steps %d: is negative", steps)
	}
	histories, err := traceHistories(c.String("dir"), min(agents, maxTraceHistories), steps, c.Uint64("seed"))
	if err != nil {
		return err
	}
	t := &traceBench{histories: histories}
	if err := t.dial(c); err != nil {
		return err
	}
	defer func() { _ = t.conn.Close() }()
	result, err := t.run(c, agents)
	if err != nil {
		return explain(err, endpoints(c))
	}
	return p.printTrace(wantsJSON(c), result)
}

// traceHistories loads or makes the histories, whole: making them must not
// take time from what is measured.
func traceHistories(dir string, n, steps int, seed uint64) ([][][]byte, error) {
	if dir == "" {
		histories := make([][][]byte, n)
		if steps == 0 {
			steps = traceSteps
		}
		for i := range histories {
			histories[i] = slices.Collect(trace.Generate(seed+uint64(i), steps))
		}
		return histories, nil
	}
	folders, err := historyFolders(dir)
	if err != nil {
		return nil, err
	}
	histories := make([][][]byte, 0, len(folders))
	for _, folder := range folders {
		var states [][]byte
		for state, err := range trace.Load(folder) {
			if err != nil {
				return nil, err
			}
			if states = append(states, state); len(states) == steps {
				break
			}
		}
		histories = append(histories, states)
	}
	return histories, nil
}

// historyFolders returns the folders in dir, or dir itself when it has none.
func historyFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, filepath.Join(dir, e.Name()))
		}
	}
	if len(folders) == 0 {
		return []string{dir}, nil
	}
	return folders, nil
}

// traceBench is one run.
type traceBench struct {
	histories [][][]byte
	conn      *client.Client
	sent      atomic.Int64 // bytes written to connections

	latencies    histogram
	saves        atomic.Int64
	contentBytes atomic.Int64
}

// dial connects in a way that counts what is sent.
func (t *traceBench) dial(c *cli.Context) error {
	cfg, err := clientConfig(c, endpoints(c))
	if err != nil {
		return err
	}
	if c.Bool("keyframes") {
		cfg.MaxCachedBytes = -1
	}
	cfg.DialOptions = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, sent: &t.sent}, nil
	})}
	t.conn, err = client.Dial(cfg)
	return err
}

// countedConn counts what is written to a connection.
type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func (t *traceBench) run(c *cli.Context, agents int) (traceResult, error) {
	ctx := c.Context
	if err := benchReady(c, t.conn); err != nil {
		return traceResult{}, err
	}
	before, err := t.disks(c)
	if err != nil {
		return traceResult{}, err
	}
	nonce := hawser.NewNonce()
	errs := make([]error, agents)
	begin, sentBefore := time.Now(), t.sent.Load()
	var group sync.WaitGroup
	for i := range agents {
		group.Go(func() {
			errs[i] = t.agent(ctx, t.conn.Agent(fmt.Sprintf("bench/trace-%x/%d", nonce[:4], i)), t.histories[i%len(t.histories)])
		})
	}
	group.Wait()
	took, sent := time.Since(begin), t.sent.Load()-sentBefore
	if err := errors.Join(errs...); err != nil {
		return traceResult{}, err
	}
	after, err := t.disks(c)
	if err != nil {
		return traceResult{}, err
	}
	return t.summarise(agents, took, sent, before, after), nil
}

// agent saves a history step by step, then looks at what a stranger restores.
func (t *traceBench) agent(ctx context.Context, a *client.Agent, history [][]byte) error {
	for i, state := range history {
		start := time.Now()
		v, err := a.Save(ctx, state, client.ContentType("application/json"))
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		t.latencies.add(time.Since(start))
		if v.Number != uint64(i+1) {
			return fmt.Errorf("step %d of %s was saved as version %d", i+1, a.ID(), v.Number)
		}
		t.saves.Add(1)
		t.contentBytes.Add(int64(len(state)))
	}
	restored, err := t.conn.Agent(a.ID().Name).Restore(ctx)
	if err != nil {
		return err
	}
	return compare(history[len(history)-1], restored.State, restored.Version)
}
