// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) benchFailover() *cli.Command {
	return &cli.Command{
		Name: "failover", Usage: "measure how long a cluster takes no writes when its leader fails",
		Description: `Clients save small states all the time, to agents named bench/..., which stay
there. Says how long the longest time between two acknowledged saves of any of
them was, and when it began. Kill or freeze the leader meanwhile. --endpoints
must name all nodes.

Example:
   hawser bench failover --duration 2s -o json`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "clients", Value: proberClients, Usage: "run `N` clients, each with one save at a time"},
			&cli.IntFlag{Name: "size", Value: proberSize, Usage: "states of `BYTES`, random ones"},
			&cli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "measure for this `DURATION`, after a second to warm up"},
		},
		Action: p.runBenchFailover,
	}
}

const (
	proberClients = 4
	proberSize    = 64
)

// failoverResult is the result as JSON. Keys are stable: add, never rename.
type failoverResult struct {
	Clients   int     `json:"clients"`
	Size      int     `json:"size"`
	DurationS float64 `json:"duration_s"`
	Writes    uint64  `json:"writes"`
	Errors    int     `json:"errors"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	// LongestGap is the longest time without an acknowledged write; it began
	// LongestGapAt after the start.
	LongestGap   float64 `json:"longest_gap_ms"`
	LongestGapAt float64 `json:"longest_gap_at_s"`
}

func (p *program) runBenchFailover(c *cli.Context) error {
	plan := benchPlan{clients: c.Int("clients"), agents: c.Int("clients"), size: c.Int("size"), duration: c.Duration("duration")}
	if err := plan.check(); err != nil {
		return err
	}
	conn, err := dial(c, endpoints(c))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := benchReady(c, conn); err != nil {
		return err
	}
	probing := newProber(plan, conn)
	begin := time.Now().Add(benchWarmUp)
	ctx, cancel := context.WithDeadline(c.Context, begin.Add(plan.duration))
	defer cancel()
	longest, from := probing.run(ctx, begin)
	r := summariseFailover(summarise(plan, probing.workers, &probing.latencies, time.Since(begin)), longest, from.Sub(begin))
	return p.printFailover(c, r, probing.workers)
}

// prober saves all the time and knows the longest time without an
// acknowledgement.
type prober struct {
	workers   []*worker
	latencies histogram
	acks      acknowledgements
}

func newProber(plan benchPlan, conn *client.Client) *prober {
	p := &prober{}
	p.workers = newWorkers(plan, []*client.Client{conn}, &p.latencies, func(ctx context.Context, w *worker, n int) error {
		err := saveRandom(ctx, w, n)
		if err == nil {
			p.acks.add(time.Now())
		}
		return err
	})
	return p
}

// run saves until ctx ends and returns the longest gap after begin, and when
// that one began.
func (p *prober) run(ctx context.Context, begin time.Time) (longest time.Duration, from time.Time) {
	p.acks.restart(begin)
	var group sync.WaitGroup
	for _, w := range p.workers {
		group.Go(func() { w.loop(ctx, begin) })
	}
	<-ctx.Done()
	longest, from = p.acks.longest(time.Now())
	group.Wait()
	return longest, from
}

// acknowledgements knows the longest time between two of them. Its methods may
// be called from any goroutine.
type acknowledgements struct {
	mu   sync.Mutex
	last time.Time // the newest; at first the beginning
	gap  time.Duration
	from time.Time // when gap began
}

// restart forgets everything and counts from begin on, which may lie ahead.
func (a *acknowledgements) restart(begin time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.gap, a.from = begin, 0, begin
}

// add takes one into account. They may come in any order, for the goroutines
// that got them may.
func (a *acknowledgements) add(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !at.After(a.last) {
		return
	}
	if gap := at.Sub(a.last); gap > a.gap {
		a.gap, a.from = gap, a.last
	}
	a.last = at
}

// longest returns the longest gap and when it began. The time since the last
// acknowledgement is one too: a cluster that never comes back shows.
func (a *acknowledgements) longest(now time.Time) (gap time.Duration, from time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if open := now.Sub(a.last); open > a.gap {
		return open, a.last
	}
	return a.gap, a.from
}

func summariseFailover(r benchResult, longest, at time.Duration) failoverResult {
	return failoverResult{
		Clients: r.Clients, Size: r.Size, DurationS: r.DurationS, Writes: r.Ops, Errors: r.Errors,
		P50: r.P50, P99: r.P99, Max: r.Max,
		LongestGap: round(float64(longest) / float64(time.Millisecond)), LongestGapAt: round(at.Seconds()),
	}
}

func (p *program) printFailover(c *cli.Context, r failoverResult, workers []*worker) error {
	var err error
	if wantsJSON(c) {
		err = p.writeJSON(r)
	} else {
		ms := func(x float64) string { return fmt.Sprintf("%.3f ms", x) }
		err = fields(p.stdout, "longest gap", fmt.Sprintf("%.0f ms, %.1f s after the start", r.LongestGap, r.LongestGapAt),
			"clients", fmt.Sprint(r.Clients), "size", fmt.Sprint(r.Size), "duration", fmt.Sprintf("%.1f s", r.DurationS),
			"writes", fmt.Sprint(r.Writes), "p50", ms(r.P50), "p99", ms(r.P99), "max", ms(r.Max), "errors", fmt.Sprint(r.Errors))
	}
	return withCause(err, r.Writes, workers, endpoints(c))
}
