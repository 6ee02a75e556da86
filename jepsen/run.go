// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/nemesis"
	"github.com/hawserdb/hawser/jepsen/rig"
	"github.com/hawserdb/hawser/jepsen/workload"
)

// Plan is what is to be run.
type Plan struct {
	Seed     uint64
	Duration time.Duration
	Nodes    int
	Clients  int
	// Faults by name; none of them is all, and the name "none" none.
	Faults   []string
	Program  string
	Dir      string
	Loopback bool
	Log      *slog.Logger
}

const (
	// recoverTime is how long a cluster may take to serve once all faults are over.
	recoverTime = 30 * time.Second
	// searchTime bounds the search for an order of the operations.
	searchTime = 2 * time.Minute
)

// Again returns the flags that repeat the run.
func (p *Plan) Again() string {
	flags := fmt.Sprintf("-seed %d -duration %s -nodes %d -clients %d", p.Seed, p.Duration, p.Nodes, p.Clients)
	if len(p.Faults) > 0 {
		flags += " -faults " + strings.Join(p.Faults, ",")
	}
	if p.Loopback {
		flags += " -loopback"
	}
	return flags
}

// Run runs it. The report is of as much as came about.
func (p *Plan) Run(ctx context.Context) (report *Report, err error) {
	report = &Report{Plan: p.Again(), Seed: p.Seed}
	recorder, err := history.Create(filepath.Join(p.Dir, "history.jsonl"))
	if err != nil {
		return report, err
	}
	r, err := rig.Start(ctx, rig.Config{Program: p.Program, Dir: p.Dir, Nodes: p.Nodes, Seed: p.Seed, Loopback: p.Loopback, Log: p.Log})
	if err != nil {
		_, closeErr := recorder.Close()
		return report, errors.Join(err, closeErr)
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	report.Level = "namespaces"
	if r.LAN == nil {
		report.Level = "loopback (" + r.WithoutLAN + ")"
	}
	register := &workload.Register{Recorder: recorder, Agents: 4}
	n, err := p.nemesis(r, recorder, report)
	if err != nil {
		_, closeErr := recorder.Close()
		return report, errors.Join(err, closeErr)
	}
	err = p.work(ctx, r, register, n)
	report.Events = n.Events()
	final, finalErr := map[string]map[string]check.Chain{}, error(nil)
	ops, closeErr := recorder.Close()
	if err == nil {
		final, finalErr = p.final(ctx, r, register, ops)
	}
	report.Ops = ops
	p.Log.Info("checking", "operations", len(ops))
	report.Verdicts = append(report.Verdicts, check.Linearizable(ops, searchTime), check.Revisions(ops))
	if len(final) > 0 {
		report.Verdicts = append(report.Verdicts, check.Versions(ops, final), check.Replicas(final))
	}
	return report, errors.Join(err, finalErr, closeErr, report.Write(p.Dir))
}

// nemesis makes the nemesis of the faults that can be injected here.
func (p *Plan) nemesis(r *rig.Rig, recorder *history.Recorder, report *Report) (*nemesis.Nemesis, error) {
	n := &nemesis.Nemesis{Rig: r, Rng: rand.New(rand.NewPCG(p.Seed, 1)), Now: recorder.Now, Log: p.Log}
	if len(p.Faults) == 1 && p.Faults[0] == "none" {
		return n, nil
	}
	faults, err := nemesis.Choose(p.Faults)
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		if f.Network && r.LAN == nil {
			report.Skipped = append(report.Skipped, f.Name)
			continue
		}
		n.Faults = append(n.Faults, f)
	}
	return n, nil
}

// work lets clients work while faults happen, until the time is over and all
// faults are healed.
func (p *Plan) work(ctx context.Context, r *rig.Rig, register *workload.Register, n *nemesis.Nemesis) error {
	working, cancel := context.WithTimeout(ctx, p.Duration)
	defer cancel()
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for id := range p.Clients {
		endpoints := r.Endpoints()
		if id%3 == 0 { // some know one node only
			endpoints = endpoints[id/3%len(endpoints):][:1]
		}
		conn, err := client.Dial(client.Config{Endpoints: endpoints, Instance: "client-" + strconv.Itoa(id)})
		if err != nil {
			return err
		}
		clients.Go(func() {
			defer func() { _ = conn.Close() }()
			register.Run(working, id, conn, rand.New(rand.NewPCG(p.Seed, uint64(id)+2)))
		})
	}
	return n.Run(working)
}

// final waits until the cluster serves, and returns what each node has.
func (p *Plan) final(ctx context.Context, r *rig.Rig, register *workload.Register, ops []history.Op) (check.Final, error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	if err := r.ReadyAll(ctx); err != nil {
		return nil, fmt.Errorf("the cluster does not recover: %w", err)
	}
	all, err := client.Dial(client.Config{Endpoints: r.Endpoints()})
	if err != nil {
		return nil, err
	}
	defer func() { _ = all.Close() }()
	last, err := all.Agent("end").Save(ctx, []byte("of the run"), client.Overwrite())
	if err != nil {
		return nil, fmt.Errorf("the cluster does not recover: %w", err)
	}
	final := check.Final{}
	for i, endpoint := range r.Endpoints() {
		node, err := client.Dial(client.Config{Endpoints: []string{endpoint}})
		if err != nil {
			return nil, err
		}
		name := r.Nodes()[i].Name
		final[name], err = register.Final(ctx, node, last.Revision, ops)
		if closeErr := node.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, fmt.Errorf("what node %s has: %w", name, err)
		}
	}
	return final, nil
}
