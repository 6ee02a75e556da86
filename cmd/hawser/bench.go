// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Bounds of a benchmark.
const (
	maxBenchClients  = 4096
	maxBenchAgents   = 100_000
	maxBenchDuration = time.Hour
	// maxBenchMemory bounds the states of all clients together.
	maxBenchMemory = 4 << 30
	// benchWarmUp runs before the clock does: connections, caches, the first
	// version of every agent.
	benchWarmUp = time.Second
	// clientsPerConnection is how many goroutines share one client, and so
	// one connection to each node.
	clientsPerConnection = 64
)

func benchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "clients", Value: 64, Usage: "run `N` clients, each with one call at a time"},
		&cli.IntFlag{Name: "size", Value: 1024, Usage: "states of `BYTES`, random ones"},
		&cli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "measure for this `DURATION`, after a second to warm up"},
		&cli.IntFlag{Name: "agents", Usage: "spread over `N` agents, at least one a client", DefaultText: "one a client"},
	}
}

// benchPlan is what the flags of a benchmark ask for.
type benchPlan struct {
	clients, agents, size int
	duration              time.Duration
}

func benchPlanOf(c *cli.Context) (benchPlan, error) {
	plan := benchPlan{clients: c.Int("clients"), agents: c.Int("agents"), size: c.Int("size"), duration: c.Duration("duration")}
	if plan.agents == 0 {
		plan.agents = plan.clients
	}
	return plan, plan.check()
}

func (plan benchPlan) check() error {
	switch {
	case plan.clients < 1 || plan.clients > maxBenchClients:
		return usageErrorf("--clients %d: from 1 to %d", plan.clients, maxBenchClients)
	case plan.agents < plan.clients || plan.agents > maxBenchAgents:
		return usageErrorf("--agents %d: from the number of clients, %d, to %d", plan.agents, plan.clients, maxBenchAgents)
	case plan.size < 0 || plan.size > hawser.MaxStateSize:
		return usageErrorf("--size %d: from 0 to %d", plan.size, hawser.MaxStateSize)
	case plan.size*plan.clients > maxBenchMemory:
		return usageErrorf("--size %d times --clients %d: more than %d bytes", plan.size, plan.clients, int64(maxBenchMemory))
	case plan.duration <= 0 || plan.duration > maxBenchDuration:
		return usageErrorf("--duration %s: more than 0 and at most %s", plan.duration, maxBenchDuration)
	}
	return nil
}

// worker is one client of a benchmark: operate does one call, the nth, on one
// of its own agents.
type worker struct {
	agents  []*client.Agent
	state   []byte
	operate func(ctx context.Context, w *worker, n int) error

	latencies *histogram // of all workers
	errors    int
	lastError error
}

// loop calls operate until ctx ends and counts from measureFrom on.
func (w *worker) loop(ctx context.Context, measureFrom time.Time) {
	for n := 0; ctx.Err() == nil; n++ {
		start := time.Now()
		err := w.operate(ctx, w, n)
		if ctx.Err() != nil {
			return // cut off by the end of the benchmark, not by the cluster
		}
		switch {
		case start.Before(measureFrom):
		case err != nil:
			w.errors++
			w.lastError = err
		default:
			w.latencies.add(time.Since(start))
		}
	}
}

// runBench runs a benchmark and prints its result. prepare runs once an agent
// before the clock does; it may be nil.
func (p *program) runBench(c *cli.Context, prepare, operate func(context.Context, *worker, int) error) error {
	plan, err := benchPlanOf(c)
	if err != nil {
		return err
	}
	connections, err := benchConnections(c, plan.clients)
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
	var latencies histogram
	workers := newWorkers(plan, connections, &latencies, operate)
	if prepare != nil {
		if err := prepareAll(c.Context, workers, prepare); err != nil {
			return explain(err, endpoints(c))
		}
	}
	begin := time.Now().Add(benchWarmUp)
	ctx, cancel := context.WithDeadline(c.Context, begin.Add(plan.duration))
	defer cancel()
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() { w.loop(ctx, begin) })
	}
	group.Wait()
	return p.printBench(c, summarise(plan, workers, &latencies, time.Since(begin)), workers)
}

func benchConnections(c *cli.Context, clients int) ([]*client.Client, error) {
	connections := make([]*client.Client, (clients+clientsPerConnection-1)/clientsPerConnection)
	for i := range connections {
		conn, err := dial(c, endpoints(c))
		if err != nil {
			return nil, err
		}
		connections[i] = conn
	}
	return connections, nil
}

func benchReady(c *cli.Context, conn *client.Client) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration(flagTimeout))
	defer cancel()
	return explain(conn.Ready(ctx), endpoints(c))
}

// newWorkers makes the workers with agents and a state of their own. Names
// hold a random part, so that every run starts with agents that are not there.
func newWorkers(plan benchPlan, connections []*client.Client, latencies *histogram,
	operate func(context.Context, *worker, int) error,
) []*worker {
	nonce := hawser.NewNonce()
	workers := make([]*worker, plan.clients)
	for i := range workers {
		w := &worker{state: make([]byte, plan.size), operate: operate, latencies: latencies}
		_, _ = rand.Read(w.state) // documented never to fail
		for a := i; a < plan.agents; a += plan.clients {
			w.agents = append(w.agents, connections[i%len(connections)].Agent(fmt.Sprintf("bench/%x/%d", nonce[:4], a)))
		}
		workers[i] = w
	}
	return workers
}

// prepareAll prepares every agent, all workers at a time.
func prepareAll(ctx context.Context, workers []*worker, prepare func(context.Context, *worker, int) error) error {
	errs := make([]error, len(workers))
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			for n := range w.agents {
				if errs[i] = prepare(ctx, w, n); errs[i] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// benchResult is the result as JSON. Keys are stable: add, never rename.
type benchResult struct {
	Clients   int     `json:"clients"`
	Agents    int     `json:"agents"`
	Size      int     `json:"size"`
	DurationS float64 `json:"duration_s"`
	Ops       uint64  `json:"ops"`
	OpsS      float64 `json:"ops_s"`
	P50       float64 `json:"p50_ms"`
	P95       float64 `json:"p95_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Errors    int     `json:"errors"`
}

func summarise(plan benchPlan, workers []*worker, latencies *histogram, took time.Duration) benchResult {
	ms := func(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
	r := benchResult{
		Clients: plan.clients, Agents: plan.agents, Size: plan.size, DurationS: round(max(0, took.Seconds())),
		Ops: latencies.count.Load(),
		P50: ms(latencies.quantile(0.5)), P95: ms(latencies.quantile(0.95)), P99: ms(latencies.quantile(0.99)), Max: ms(latencies.quantile(1)),
	}
	for _, w := range workers {
		r.Errors += w.errors
	}
	if took > 0 {
		r.OpsS = round(float64(r.Ops) / took.Seconds())
	}
	return r
}

// round keeps three decimals.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

func (p *program) printBench(c *cli.Context, r benchResult, workers []*worker) error {
	var err error
	if wantsJSON(c) {
		err = p.writeJSON(r)
	} else {
		ms := func(x float64) string { return fmt.Sprintf("%.3f ms", x) }
		err = fields(p.stdout, "clients", fmt.Sprint(r.Clients), "agents", fmt.Sprint(r.Agents), "size", fmt.Sprint(r.Size),
			"duration", fmt.Sprintf("%.1f s", r.DurationS), "operations", fmt.Sprint(r.Ops), "per second", fmt.Sprintf("%.0f", r.OpsS),
			"p50", ms(r.P50), "p95", ms(r.P95), "p99", ms(r.P99), "max", ms(r.Max), "errors", fmt.Sprint(r.Errors))
	}
	return withCause(err, r.Ops, workers, endpoints(c))
}

// withCause adds to err why no operation succeeded, if none did.
func withCause(err error, succeeded uint64, workers []*worker, endpoints []string) error {
	if succeeded > 0 {
		return err
	}
	for _, w := range workers {
		if w.lastError != nil {
			return errors.Join(err, explain(fmt.Errorf("no operation succeeded: %w", w.lastError), endpoints))
		}
	}
	return errors.Join(err, errors.New("no operation ended within the duration"))
}
