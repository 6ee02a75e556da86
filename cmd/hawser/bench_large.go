// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) benchLarge() *cli.Command {
	return &cli.Command{
		Name: "large", Usage: "measure saves of a large state, and what they do to small ones beside them",
		Description: `Clients save small states all the time: for a while alone, then for as long as
another client saves large states one after the other. The large ones are random,
so that nothing makes them smaller.

Example:
   hawser bench large --large-size 33554432 --clients 4 --duration 2s -o json`,
		Flags: append(benchFlags(),
			&cli.IntFlag{Name: "large-size", Value: 100 << 20, Usage: "large states of `BYTES`"}),
		Action: p.runBenchLarge,
	}
}

// largeResult is the result as JSON. Keys are stable: add, never rename.
type largeResult struct {
	LargeSize  int     `json:"large_size"`
	LargeSaves int     `json:"large_saves"`
	LargeMiBS  float64 `json:"large_mib_s"`
	Clients    int     `json:"clients"`
	Size       int     `json:"size"`
	AloneOpsS  float64 `json:"alone_ops_s"`
	AloneP50   float64 `json:"alone_p50_ms"`
	AloneP99   float64 `json:"alone_p99_ms"`
	BesideOpsS float64 `json:"beside_ops_s"`
	BesideP50  float64 `json:"beside_p50_ms"`
	BesideP99  float64 `json:"beside_p99_ms"`
	P99Ratio   float64 `json:"p99_ratio"`
	Elections  uint64  `json:"elections"`
	Errors     int     `json:"errors"`
}

func (p *program) runBenchLarge(c *cli.Context) error {
	plan, err := benchPlanOf(c)
	if err != nil {
		return err
	}
	large := c.Int("large-size")
	if large < 1 || large > hawser.MaxStateSize {
		return usageErrorf("--large-size %d: from 1 to %d", large, hawser.MaxStateSize)
	}
	conn, err := dial(c, endpoints(c))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := benchReady(c, conn); err != nil {
		return err
	}
	b := &largeBench{conn: conn, plan: plan, state: make([]byte, large)}
	_, _ = rand.Read(b.state) // documented never to fail
	r, err := b.run(c.Context)
	if err != nil {
		return explain(err, endpoints(c))
	}
	return p.printLarge(wantsJSON(c), r)
}

// largeBench is one run.
type largeBench struct {
	conn  *client.Client
	plan  benchPlan
	state []byte
	name  string

	saved int
	took  time.Duration
}

func (b *largeBench) run(ctx context.Context) (largeResult, error) {
	nonce := hawser.NewNonce()
	b.name = fmt.Sprintf("bench/large-%x", nonce[:4])
	before, err := b.conn.Cluster().Status(ctx)
	if err != nil {
		return largeResult{}, err
	}
	alone, err := b.phase(ctx, "alone", func(ctx context.Context) error {
		timer := time.NewTimer(benchWarmUp + b.plan.duration)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	if err != nil {
		return largeResult{}, err
	}
	beside, err := b.phase(ctx, "beside", b.saveLarge)
	if err != nil {
		return largeResult{}, err
	}
	after, err := b.conn.Cluster().Status(ctx)
	if err != nil {
		return largeResult{}, err
	}
	r := largeResult{
		LargeSize: len(b.state), LargeSaves: b.saved, LargeMiBS: round(float64(b.saved*len(b.state)) / (1 << 20) / b.took.Seconds()),
		Clients: b.plan.clients, Size: b.plan.size,
		AloneOpsS: alone.OpsS, AloneP50: alone.P50, AloneP99: alone.P99,
		BesideOpsS: beside.OpsS, BesideP50: beside.P50, BesideP99: beside.P99,
		Elections: after.Term - before.Term, Errors: alone.Errors + beside.Errors,
	}
	if r.AloneP99 > 0 {
		r.P99Ratio = round(r.BesideP99 / r.AloneP99)
	}
	return r, nil
}

// phase lets the clients save small states for as long as body runs.
func (b *largeBench) phase(ctx context.Context, name string, body func(context.Context) error) (benchResult, error) {
	var latencies histogram
	workers := make([]*worker, b.plan.clients)
	for i := range workers {
		w := &worker{state: make([]byte, b.plan.size), latencies: &latencies, operate: saveRandom}
		_, _ = rand.Read(w.state) // documented never to fail
		w.agents = []*client.Agent{b.conn.Agent(fmt.Sprintf("%s/%s/%d", b.name, name, i))}
		workers[i] = w
	}
	phase, cancel := context.WithCancel(ctx)
	begin := time.Now().Add(benchWarmUp)
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() { w.loop(phase, begin) })
	}
	err := body(ctx)
	took := time.Since(begin)
	cancel()
	group.Wait()
	return summarise(b.plan, workers, &latencies, took), err
}

// saveLarge saves large states one after the other for the plan's time, at
// least one, after the warm-up.
func (b *largeBench) saveLarge(ctx context.Context) error {
	timer := time.NewTimer(benchWarmUp)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	begin := time.Now()
	for b.took < b.plan.duration {
		_, _ = rand.Read(b.state[:4096])
		agent := b.conn.Agent(fmt.Sprintf("%s/state-%d", b.name, b.saved))
		if _, err := agent.Save(ctx, b.state); err != nil {
			return err
		}
		b.saved++
		b.took = time.Since(begin)
	}
	return nil
}

func (p *program) printLarge(asJSON bool, r largeResult) error {
	if asJSON {
		return p.writeJSON(r)
	}
	ms := func(x float64) string { return fmt.Sprintf("%.3f ms", x) }
	return fields(p.stdout, "large saves", fmt.Sprint(r.LargeSaves), "large size", fmt.Sprint(r.LargeSize),
		"large rate", fmt.Sprintf("%.1f MiB/s", r.LargeMiBS),
		"small alone", fmt.Sprintf("%.0f/s, p50 %s, p99 %s", r.AloneOpsS, ms(r.AloneP50), ms(r.AloneP99)),
		"small beside", fmt.Sprintf("%.0f/s, p50 %s, p99 %s", r.BesideOpsS, ms(r.BesideP50), ms(r.BesideP99)),
		"p99 ratio", fmt.Sprintf("%.2f", r.P99Ratio), "elections", fmt.Sprint(r.Elections), "errors", fmt.Sprint(r.Errors))
}
