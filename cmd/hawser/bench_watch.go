// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) benchWatch() *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "measure how soon many watchers learn of saves",
		Description: `Watchers follow agents named bench/..., one each, at the first of --endpoints;
clients save to the agents at a fixed rate. Says how long after a save was sent
its watcher was told of it.

Example:
   hawser bench watch --watchers 100 --rate 100 --duration 1s -o json`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "watchers", Value: 1000, Usage: "watch `N` agents"},
			&cli.IntFlag{Name: "rate", Value: 500, Usage: "save `N` times a second"},
			&cli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "measure for this `DURATION`"},
		},
		Action: p.runBenchWatch,
	}
}

type watchResult struct {
	Watchers  int     `json:"watchers"`
	DurationS float64 `json:"duration_s"`
	Saves     uint64  `json:"saves"`
	Errors    int64   `json:"errors"`
	Delivered uint64  `json:"delivered"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// watchersPerConn is how many watch on one connection.
const watchersPerConn = 500

// watchBench is what savers and watchers share.
type watchBench struct {
	agents    []*client.Agent
	sent      []atomic.Int64 // when the newest save of an agent was sent, 0 once it was told of
	saving    []sync.Mutex
	latencies histogram
	saves     atomic.Uint64
	delivered atomic.Uint64
	errors    atomic.Int64
	failed    atomic.Pointer[error] // why the first watch ended
	ready     sync.WaitGroup
}

func (p *program) runBenchWatch(c *cli.Context) error {
	n, rate := c.Int("watchers"), c.Int("rate")
	if n < 1 || rate < 1 || c.Duration("duration") <= 0 {
		return usageErrorf("--watchers, --rate and --duration must be positive")
	}
	conn, err := dial(c, endpoints(c))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := benchReady(c, conn); err != nil {
		return err
	}
	b := &watchBench{agents: make([]*client.Agent, n), sent: make([]atomic.Int64, n), saving: make([]sync.Mutex, n)}
	for i := range b.agents {
		b.agents[i] = conn.Agent(fmt.Sprintf("bench/%d-%d", time.Now().UnixNano(), i))
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	for from := 0; from < n; from += watchersPerConn {
		watchConn, err := dial(c, endpoints(c)[:1])
		if err != nil {
			return err
		}
		defer func() { _ = watchConn.Close() }()
		for i := from; i < min(from+watchersPerConn, n); i++ {
			b.ready.Add(1)
			watching.Go(func() { b.watch(ctx, watchConn, i) })
		}
	}
	b.ready.Wait()
	if err := b.failed.Load(); err != nil {
		return explain(*err, endpoints(c))
	}
	begin := time.Now()
	b.saveAll(ctx, rate, begin.Add(c.Duration("duration")))
	took := time.Since(begin)
	for deadline := time.Now().Add(5 * time.Second); b.delivered.Load() < b.saves.Load() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	return p.printWatch(c, b, took)
}

func (p *program) printWatch(c *cli.Context, b *watchBench, took time.Duration) error {
	ms := func(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
	r := watchResult{
		Watchers: len(b.agents), DurationS: round(took.Seconds()), Saves: b.saves.Load(), Errors: b.errors.Load(), Delivered: b.delivered.Load(),
		P50: ms(b.latencies.quantile(0.5)), P99: ms(b.latencies.quantile(0.99)), Max: ms(time.Duration(b.latencies.max.Load())),
	}
	if wantsJSON(c) {
		return p.writeJSON(r)
	}
	_, err := fmt.Fprintf(p.stdout, "%d watchers, %d saves in %g s, %d told of, %d errors: p50 %g ms, p99 %g ms, max %g ms\n",
		r.Watchers, r.Saves, r.DurationS, r.Delivered, r.Errors, r.P50, r.P99, r.Max)
	return err
}

// watch follows one agent.
func (b *watchBench) watch(ctx context.Context, conn *client.Client, i int) {
	begun := false
	name := strings.TrimPrefix(b.agents[i].ID().String(), b.agents[i].ID().Namespace+"/")
	for batch, err := range conn.Watch(ctx, client.Name(name), client.Kinds(hawser.EventVersionSaved)) {
		if !begun {
			begun = true
			b.ready.Done()
		}
		if err != nil {
			if ctx.Err() == nil {
				b.errors.Add(1)
				b.failed.CompareAndSwap(nil, &err)
			}
			return
		}
		for range batch.Events {
			if at := b.sent[i].Swap(0); at != 0 {
				b.latencies.add(time.Since(time.Unix(0, at)))
			}
			b.delivered.Add(1)
		}
	}
}

// saveAll saves at a rate until a time.
func (b *watchBench) saveAll(ctx context.Context, rate int, until time.Time) {
	var saving sync.WaitGroup
	slots := make(chan struct{}, 256)
	interval := time.Second / time.Duration(rate)
	for at := time.Now(); at.Before(until) && ctx.Err() == nil; at = at.Add(interval) {
		time.Sleep(time.Until(at))
		slots <- struct{}{}
		saving.Go(func() {
			defer func() { <-slots }()
			b.save(ctx, rand.IntN(len(b.agents)))
		})
	}
	saving.Wait()
}

func (b *watchBench) save(ctx context.Context, i int) {
	b.saving[i].Lock()
	defer b.saving[i].Unlock()
	b.sent[i].Store(time.Now().UnixNano())
	if _, err := b.agents[i].Save(ctx, fmt.Append(nil, rand.Uint64())); err != nil {
		b.errors.Add(1)
		return
	}
	b.saves.Add(1)
}
