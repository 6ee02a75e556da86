// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

// compactBudget is what compacting one node may take.
const compactBudget = 5 * time.Minute

// disks compacts the store of every node, one after the other, and returns the
// largest numbers of any: each node has everything.
func (t *traceBench) disks(c *cli.Context) (client.Disk, error) {
	status, err := t.conn.Cluster().Status(c.Context)
	if err != nil {
		return client.Disk{}, err
	}
	var most client.Disk
	for _, m := range status.Members {
		disk, err := compactNode(c, m.ClientAddress)
		if err != nil {
			return most, fmt.Errorf("what %s has on disk: %w", m.Name, err)
		}
		most.Engine = max(most.Engine, disk.Engine)
		most.Log = max(most.Log, disk.Log)
		most.LogAppended = max(most.LogAppended, disk.LogAppended)
	}
	return most, nil
}

func compactNode(c *cli.Context, address string) (client.Disk, error) {
	cfg, err := clientConfig(c, []string{address})
	if err != nil {
		return client.Disk{}, err
	}
	cfg.RequestTimeout = compactBudget
	conn, err := client.Dial(cfg)
	if err != nil {
		return client.Disk{}, err
	}
	defer func() { _ = conn.Close() }()
	return conn.Cluster().Compact(c.Context)
}

// traceResult is the result as JSON. Keys are stable: add, never rename.
type traceResult struct {
	Agents    int     `json:"agents"`
	Histories int     `json:"histories"`
	Saves     int64   `json:"saves"`
	DurationS float64 `json:"duration_s"`
	SavesS    float64 `json:"saves_s"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	// ContentBytes is what the agents saved; SentBytes what the client wrote to
	// its connections for it; EngineBytes and LogBytes what one node has more
	// on disk, after compaction, and has appended to its log.
	ContentBytes     int64   `json:"content_bytes"`
	SentBytes        int64   `json:"sent_bytes"`
	EngineBytes      int64   `json:"engine_bytes"`
	LogBytes         int64   `json:"log_bytes"`
	ContentPerSent   float64 `json:"content_per_sent"`
	ContentPerEngine float64 `json:"content_per_engine"`
}

func (t *traceBench) summarise(agents int, took time.Duration, sent int64, before, after client.Disk) traceResult {
	ms := func(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
	r := traceResult{
		Agents: agents, Histories: len(t.histories), Saves: t.saves.Load(), DurationS: round(took.Seconds()),
		SavesS: round(float64(t.saves.Load()) / took.Seconds()),
		P50:    ms(t.latencies.quantile(0.5)), P99: ms(t.latencies.quantile(0.99)), Max: ms(t.latencies.quantile(1)),
		ContentBytes: t.contentBytes.Load(), SentBytes: sent,
		EngineBytes: after.Engine - before.Engine, LogBytes: after.LogAppended - before.LogAppended,
	}
	if r.SentBytes > 0 {
		r.ContentPerSent = round(float64(r.ContentBytes) / float64(r.SentBytes))
	}
	if r.EngineBytes > 0 {
		r.ContentPerEngine = round(float64(r.ContentBytes) / float64(r.EngineBytes))
	}
	return r
}

func (p *program) printTrace(asJSON bool, r traceResult) error {
	if asJSON {
		return p.writeJSON(r)
	}
	ms := func(x float64) string { return fmt.Sprintf("%.3f ms", x) }
	share := func(n int64, ratio float64) string {
		return fmt.Sprintf("%.2f MB (1/%.0f of the content)", float64(n)/1e6, ratio)
	}
	return fields(p.stdout, "agents", fmt.Sprint(r.Agents), "histories", fmt.Sprint(r.Histories), "saves", fmt.Sprint(r.Saves),
		"duration", fmt.Sprintf("%.1f s", r.DurationS), "per second", fmt.Sprintf("%.0f", r.SavesS),
		"p50", ms(r.P50), "p99", ms(r.P99), "max", ms(r.Max),
		"content", fmt.Sprintf("%.1f MB", float64(r.ContentBytes)/1e6),
		"sent", share(r.SentBytes, r.ContentPerSent), "engine", share(r.EngineBytes, r.ContentPerEngine),
		"log", fmt.Sprintf("%.1f MB", float64(r.LogBytes)/1e6))
}
