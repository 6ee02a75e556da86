// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) benchLeases() *cli.Command {
	return &cli.Command{
		Name: "leases", Usage: "hold many locks, each under a lease that is renewed",
		Description: `Takes locks named bench/..., holds them for a while and releases them. Each has a
lease of its own, renewed six times in its TTL. Says how fast they were taken and
how many were lost. What the renewals cost a node, its process tells (metrics:
process_cpu_seconds_total).

Example:
   hawser bench leases --leases 100 --duration 1s -o json`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "leases", Value: 1000, Usage: "hold `N` locks"},
			&cli.DurationFlag{Name: flagTTL, Value: 6 * time.Second, Usage: "the leases' `TIME` to live"},
			&cli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "hold them for this `DURATION`"},
		},
		Action: p.runBenchLeases,
	}
}

type leasesResult struct {
	Leases    int     `json:"leases"`
	TTL       float64 `json:"ttl_s"`
	DurationS float64 `json:"duration_s"`
	TakenPerS float64 `json:"taken_per_s"`
	Lost      int64   `json:"lost"`
}

// takers is how many locks are taken at a time.
const takers = 128

func (p *program) runBenchLeases(c *cli.Context) error {
	n := c.Int("leases")
	if n < 1 || c.Duration("duration") <= 0 {
		return usageErrorf("--leases %d, --duration %s: must be positive", n, c.Duration("duration"))
	}
	conn, err := dial(c, endpoints(c))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := benchReady(c, conn); err != nil {
		return err
	}
	begin := time.Now()
	locks := make([]*client.Lock, n)
	err = each(n, func(i int) (err error) {
		locks[i], err = conn.Lock(c.Context, fmt.Sprintf("bench/%d-%d", begin.UnixNano(), i), client.TTL(c.Duration(flagTTL)))
		return err
	})
	if err != nil {
		return explain(err, endpoints(c))
	}
	r := leasesResult{
		Leases: n, TTL: c.Duration(flagTTL).Seconds(), DurationS: c.Duration("duration").Seconds(),
		TakenPerS: round(float64(n) / time.Since(begin).Seconds()),
	}
	select {
	case <-c.Done():
	case <-time.After(c.Duration("duration")):
	}
	for _, l := range locks {
		if l.Err() != nil {
			r.Lost++
		}
	}
	ctx := context.WithoutCancel(c.Context)
	if err := each(n, func(i int) error { return locks[i].Release(ctx) }); err != nil {
		return explain(err, endpoints(c))
	}
	if wantsJSON(c) {
		return p.writeJSON(r)
	}
	_, err = fmt.Fprintf(p.stdout, "%d leases of %g s, taken %.0f a second, held for %g s, %d lost\n", r.Leases, r.TTL, r.TakenPerS, r.DurationS, r.Lost)
	return err
}

// each calls f with the numbers below n, some at a time, and returns an error of
// one.
func each(n int, f func(int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for range min(n, takers) {
		group.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
