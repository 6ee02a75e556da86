// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) benchAgents() *cli.Command {
	return &cli.Command{
		Name: "agents", Usage: "own many agents, each of which reports its health every second",
		Description: `Claims agents named bench/..., spread over some clients, and reports for each of them
every second that it has done a step. Says how fast they were claimed, how many claims
were lost, and how the leader judges the agents in the end. What that costs a node, its
process tells (metrics: process_cpu_seconds_total).

Example:
   hawser bench agents --agents 100 --duration 11s -o json`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "agents", Value: 1000, Usage: "own `N` agents"},
			&cli.IntFlag{Name: "clients", Value: 20, Usage: "spread them over `N` clients with a connection each"},
			&cli.DurationFlag{Name: flagTTL, Value: hawser.DefaultTTL, Usage: "the leases' `TIME` to live"},
			&cli.DurationFlag{Name: "duration", Value: 30 * time.Second, Usage: "report for this `DURATION`"},
		},
		Action: p.runBenchAgents,
	}
}

// agentsResult is the result as JSON. Keys are stable: add, never rename.
type agentsResult struct {
	Agents      int     `json:"agents"`
	Clients     int     `json:"clients"`
	TTL         float64 `json:"ttl_s"`
	DurationS   float64 `json:"duration_s"`
	ClaimedPerS float64 `json:"claimed_per_s"`
	ReportsPerS float64 `json:"reports_per_s"`
	Lost        int     `json:"lost"`
	// How the leader judges them in the end; Stale are those of which the newest report
	// is older than 3 s.
	States map[string]int `json:"states"`
	Stale  int            `json:"stale"`
}

// reporting is one agent of the benchmark.
type reporting struct {
	claim    *client.Claim
	reporter client.Reporter
}

func (p *program) runBenchAgents(c *cli.Context) error {
	n, clients, d := c.Int("agents"), c.Int("clients"), c.Duration("duration")
	if n < 1 || n > maxBenchAgents || clients < 1 || clients > n || d <= 0 || d > maxBenchDuration {
		return usageErrorf("--agents %d, --clients %d, --duration %s: up to %d agents, of as many clients at most, for up to %s",
			n, clients, d, maxBenchAgents, maxBenchDuration)
	}
	connections, err := benchConnections(c, clients*clientsPerConnection)
	if err != nil {
		return err
	}
	defer func() {
		for _, conn := range connections {
			_ = conn.Close()
		}
	}()
	if err := benchReady(c, connections[0]); err != nil {
		return err
	}
	agents := make([]reporting, n)
	prefix := fmt.Sprintf("bench/%x", hawser.NewNonce())
	begin := time.Now()
	err = each(n, func(i int) (err error) {
		a := &agents[i]
		a.claim, err = connections[i%clients].Agent(prefix+"/"+strconv.Itoa(i)).Claim(c.Context, client.TTL(c.Duration(flagTTL)), client.Reports(&a.reporter))
		return err
	})
	if err != nil {
		return explain(err, endpoints(c))
	}
	r := agentsResult{
		Agents: n, Clients: clients, TTL: c.Duration(flagTTL).Seconds(), DurationS: d.Seconds(),
		ClaimedPerS: round(float64(n) / time.Since(begin).Seconds()), States: map[string]int{},
	}
	r.ReportsPerS = report(c.Context, agents, d)
	if err := r.judged(c.Context, connections[0], prefix); err != nil {
		return explain(err, endpoints(c))
	}
	for i := range agents {
		if agents[i].claim.Err() != nil {
			r.Lost++
		}
	}
	ctx := context.WithoutCancel(c.Context)
	if err := each(n, func(i int) error { return agents[i].claim.Release(ctx) }); err != nil {
		return explain(err, endpoints(c))
	}
	if wantsJSON(c) {
		return p.writeJSON(r)
	}
	_, err = fmt.Fprintf(p.stdout, "%d agents of %d clients, claimed %.0f a second, reported %.0f times a second for %g s, %d lost, %d stale, judged %v\n",
		r.Agents, r.Clients, r.ClaimedPerS, r.ReportsPerS, r.DurationS, r.Lost, r.Stale, r.States)
	return err
}

// report reports for all agents every second, and returns how many reports that were in
// a second.
func report(ctx context.Context, agents []reporting, d time.Duration) float64 {
	begin, reports := time.Now(), 0
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for step := uint64(1); time.Since(begin) < d && ctx.Err() == nil; step++ {
		for i := range agents {
			agents[i].reporter.Set(hawser.HealthReport{Steps: step, Limit: time.Minute})
		}
		reports += len(agents)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return round(float64(reports) / time.Since(begin).Seconds())
}

// judged asks how the leader judges them.
func (r *agentsResult) judged(ctx context.Context, conn *client.Client, prefix string) error {
	for h, err := range conn.Health(ctx, prefix) {
		if err != nil {
			return err
		}
		if r.States[h.State.String()]++; h.Age > 3*time.Second {
			r.Stale++
		}
	}
	return nil
}
