// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/internal/procs"
)

const (
	demoNodes = 3
	demoSteps = 60
	// demoBudget is what one call of the demo may take; a failover fits many times.
	demoBudget = time.Minute
)

func (p *program) demo() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "kill the leader of a local cluster while an agent saves, and check every version",
		Description: `Starts three nodes, saves the history of an agent step by step, kills the leader
(kill -9) in the middle, goes on saving, restores every version and compares it
by SHA-256, then restarts the killed node and reads every version through it.
At last it kills the process that owns the agent, and lets another one go on.
The history is synthetic, or the files 0001.json, 0002.json, ... of a directory.
Fails if a single byte differs.

Examples:
   hawser demo
   hawser demo --steps 20`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "states", Usage: "save the states in `DIR` instead of a synthetic history"},
			&cli.IntFlag{Name: "steps", Usage: "save at most `N` versions", DefaultText: "every file, or 60 synthetic ones"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "make the synthetic history from `SEED`"},
		},
		Action: func(c *cli.Context) error {
			states, err := history(c.String("states"), c.Int("steps"), c.Uint64("seed"))
			if err != nil {
				return err
			}
			dir, remove, err := localDir("")
			if err != nil {
				return err
			}
			return errors.Join(runDemo(c.Context, p.stdout, dir, states), remove())
		},
	}
}

// runDemo starts the cluster in dir and tells the story.
func runDemo(ctx context.Context, out io.Writer, dir string, states [][]byte) error {
	nodes, err := procs.PlanFree(dir, demoNodes)
	if err != nil {
		return err
	}
	local, err := newLocal(dir, nodes)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := startLocal(ctx, local); err != nil {
		return errors.Join(err, local.KillAll())
	}
	say(out, "%d nodes are ready after %s\n", demoNodes, milliseconds(time.Since(started)))
	conn, err := client.Dial(client.Config{Endpoints: local.Endpoints(), RequestTimeout: demoBudget})
	if err != nil {
		return errors.Join(err, local.KillAll())
	}
	d := &demonstration{local: local, out: out, conn: conn, agent: conn.Agent("demo/researcher"), states: states}
	return errors.Join(d.run(ctx), conn.Close(), stopLocal(ctx, local))
}

// demonstration is the story of one agent whose leader is killed.
type demonstration struct {
	local  *procs.Cluster
	out    io.Writer
	conn   *client.Client
	agent  *client.Agent
	states [][]byte

	saved  []hawser.Version // one for each state that was saved
	killed int              // index of the killed node
}

func (d *demonstration) run(ctx context.Context) error {
	before, err := d.save(ctx, len(d.states)/2)
	if err != nil {
		return err
	}
	if err := d.killLeader(ctx); err != nil {
		return err
	}
	after, err := d.save(ctx, len(d.states))
	if err != nil {
		return err
	}
	say(d.out, "saved %d versions in all; longest time between two acknowledged saves: %s without a failure, %s with the leader killed\n",
		len(d.saved), milliseconds(before), milliseconds(after))
	if err := d.check(ctx, d.conn, "through the cluster"); err != nil {
		return err
	}
	if err := d.restart(ctx); err != nil {
		return err
	}
	return d.takeOver(ctx)
}

// save saves the states up to the one before until and returns the longest
// time from one acknowledgement, or from the call, to the next.
func (d *demonstration) save(ctx context.Context, until int) (time.Duration, error) {
	var longest time.Duration
	last := time.Now()
	for len(d.saved) < until {
		i := len(d.saved)
		v, err := d.agent.Save(ctx, d.states[i], client.ContentType("application/json"), client.Label("step", fmt.Sprint(i+1)))
		if err != nil {
			return 0, fmt.Errorf("save step %d: %w", i+1, err)
		}
		if v.Number != uint64(i+1) {
			return 0, fmt.Errorf("step %d was saved as version %d: it was executed more or less than once", i+1, v.Number)
		}
		d.saved = append(d.saved, v)
		longest = max(longest, time.Since(last))
		last = time.Now()
	}
	return longest, nil
}

func (d *demonstration) killLeader(ctx context.Context) error {
	s, err := d.conn.Cluster().Status(ctx)
	if err != nil {
		return err
	}
	for i, n := range d.local.Nodes() {
		if n.Client != s.LeaderAddress {
			continue
		}
		d.killed = i
		say(d.out, "saved %d versions; kill -9 of the leader, %s (process %d)\n", len(d.saved), n.Name, d.local.Process(i).PID())
		return d.local.Process(i).Kill()
	}
	return fmt.Errorf("node %s says that the leader is %q at %q, which is none of ours", s.Self.ID, s.Leader, s.LeaderAddress)
}

// check restores every version and compares it with what was saved.
func (d *demonstration) check(ctx context.Context, conn *client.Client, how string) error {
	agent := conn.Agent(d.agent.ID().Name)
	var wrong []error
	var bytes int
	for i, state := range d.states {
		restored, err := agent.Restore(ctx, client.AtVersion(uint64(i+1)))
		if err != nil {
			return fmt.Errorf("restore version %d %s: %w", i+1, how, err)
		}
		bytes += len(restored.State)
		if err := compare(state, restored.State, d.saved[i]); err != nil {
			wrong = append(wrong, fmt.Errorf("version %d %s: %w", i+1, how, err))
		}
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	say(d.out, "restored all %d versions %s, %d bytes: every SHA-256 is equal\n", len(d.states), how, bytes)
	return nil
}

// restart brings the killed node back and reads everything through it alone.
func (d *demonstration) restart(ctx context.Context) error {
	node := d.local.Nodes()[d.killed]
	started := time.Now()
	if err := d.local.Start(d.killed); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := d.local.Ready(waiting, d.killed); err != nil {
		return fmt.Errorf("restart of the killed node: %w", err)
	}
	say(d.out, "restarted %s; it was ready after %s\n", node.Name, milliseconds(time.Since(started)))
	conn, err := client.Dial(client.Config{Endpoints: []string{node.Client}, RequestTimeout: demoBudget})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := caughtUp(waiting, conn, d.saved[len(d.saved)-1]); err != nil {
		return fmt.Errorf("%s: %w", node.Name, err)
	}
	return d.check(ctx, conn, "through the restarted "+node.Name)
}

// caughtUp reports whether the one node that conn reaches holds the version
// itself: it reads stale, so that no other node answers for it.
func caughtUp(ctx context.Context, conn *client.Client, v hawser.Version) error {
	found, err := conn.Agent(v.Agent.Name).ShowVersion(ctx, v.Number, client.MinRevision(v.Revision))
	if err != nil {
		return fmt.Errorf("version %d is not there after the restart: %w", v.Number, err)
	}
	if found.SHA256 != v.SHA256 {
		return fmt.Errorf("version %d has SHA-256 %s after the restart, was saved with %s", v.Number, found.SHA256, v.SHA256)
	}
	return nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
