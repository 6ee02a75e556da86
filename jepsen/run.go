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
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/crew"
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
	// Clients of each workload.
	Clients int
	// Workloads and Faults by name; none of them is all, and the fault "none" none.
	Workloads []string
	Faults    []string
	Program   string
	// Given: the program was not built from this checkout.
	Given bool
	// Previous is a program of an older version, "" for none.
	Previous string
	Dir      string
	// Network is what joins the nodes, see [rig.Config].
	Network string
	Log     *slog.Logger
}

// recoverTime is how long a cluster may take to serve once all faults are over.
const recoverTime = 30 * time.Second

// Again returns the flags that repeat the run.
func (p *Plan) Again() string {
	flags := fmt.Sprintf("-seed %d -duration %s -nodes %d -clients %d", p.Seed, p.Duration, p.Nodes, p.Clients)
	if len(p.Workloads) > 0 {
		flags += " -workloads " + strings.Join(p.Workloads, ",")
	}
	if len(p.Faults) > 0 {
		flags += " -faults " + strings.Join(p.Faults, ",")
	}
	if p.Given {
		flags += " -program " + p.Program
	}
	if p.Previous != "" {
		flags += " -previous " + p.Previous
	}
	if p.Network != "" {
		flags += " -network " + p.Network
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
	r, err := rig.Start(ctx, p.rig())
	if err != nil {
		_, closeErr := recorder.Close()
		return report, errors.Join(err, closeErr)
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	report.Level = level(r)
	run := &run{Plan: p, rig: r, recorder: recorder, report: report}
	if r.Judge, err = crew.StartJudge(ctx, p.Dir, recorder); err != nil {
		_, closeErr := recorder.Close()
		return report, errors.Join(err, closeErr)
	}
	if err = run.all(ctx); err != nil {
		report.Failure = err.Error()
	}
	return report, errors.Join(err, report.Write(p.Dir))
}

func (p *Plan) rig() rig.Config {
	return rig.Config{Program: p.Program, Previous: p.Previous, Dir: p.Dir, Nodes: p.Nodes, Seed: p.Seed, Joined: p.Network, Log: p.Log}
}

// level says what of a rig can be spoilt.
func level(r *rig.Rig) string {
	level := "joined by " + r.Joined
	if r.WithoutDisks == "" {
		level += ", with disks of our own"
	} else {
		level += ", with the machine's disk (" + r.WithoutDisks + ")"
	}
	if r.WithoutClocks != "" {
		level += ", with the machine's clock (" + r.WithoutClocks + ")"
	}
	return level
}

// run is a plan while its cluster runs.
type run struct {
	*Plan

	rig       *rig.Rig
	recorder  *history.Recorder
	report    *Report
	workloads []workload.Workload
	watchers  map[string]*workload.Watcher
	// last is the revision up to which all watchers were told.
	last hawser.Revision
}

// has reports whether one of these workloads runs.
func (r *run) has(names ...string) bool {
	return slices.ContainsFunc(r.workloads, func(w workload.Workload) bool { return slices.Contains(names, w.Name()) })
}

// watching returns the watchers as they are in the history, one at each node.
func (r *run) watching() (ids []int) {
	for i := range r.rig.Endpoints() {
		ids = append(ids, watcherID(i))
	}
	return ids
}

func watcherID(node int) int { return -1 - node }

func (r *run) all(ctx context.Context) error {
	n, err := r.choose()
	if err != nil {
		err = errors.Join(err, r.rig.Judge.Close(ctx))
		_, closeErr := r.recorder.Close()
		return errors.Join(err, closeErr)
	}
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	defer watched.Wait()
	defer stop()
	if err = r.watch(watching, &watched); err == nil {
		err = r.work(ctx, n)
	}
	if err == nil {
		err = r.finish(ctx)
	}
	r.report.Events = n.Events()
	err = errors.Join(err, r.rig.Judge.Close(ctx))
	var final check.Final
	var told map[string][]check.Told
	worked := err == nil
	if worked {
		final, told, err = r.final(ctx, r.recorder.Ended())
	}
	ops, closeErr := r.recorder.Close()
	r.report.Ops = ops
	if !worked {
		return errors.Join(err, closeErr)
	}
	r.Log.Info("checking", "operations", len(ops))
	r.report.Verdicts = append(r.report.Verdicts, check.Revisions(ops), check.Times(ops, r.recorder.Began()))
	if r.has("leases", "claims", "locks", "semaphores") {
		r.report.Verdicts = append(r.report.Verdicts, check.Holds(ops, r.watching(), uint64(r.last)))
	}
	if leases := check.Leases(ops); r.has("leases") || leases.Checked > 0 { // those of others expire by chance
		r.report.Verdicts = append(r.report.Verdicts, leases)
	}
	for _, w := range r.workloads {
		own := slices.DeleteFunc(slices.Clone(ops), func(op history.Op) bool { return !strings.HasPrefix(op.Agent, w.Name()+"/") })
		r.report.Verdicts = append(r.report.Verdicts, w.Check(own, final.Below(w.Name()))...)
	}
	r.report.Verdicts = append(r.report.Verdicts, check.Replicas(final), check.Watches(told, final))
	return errors.Join(err, closeErr)
}

// choose makes the workloads, and the nemesis of the faults that can be injected
// here.
func (r *run) choose() (*nemesis.Nemesis, error) {
	for _, w := range workload.All(r.recorder, r.rig.Judge.Socket) {
		if len(r.Workloads) == 0 || slices.Contains(r.Workloads, w.Name()) {
			r.workloads = append(r.workloads, w)
		}
	}
	if len(r.workloads) == 0 || len(r.Workloads) > len(r.workloads) {
		return nil, fmt.Errorf("not all of %q are workloads", strings.Join(r.Workloads, ","))
	}
	n := &nemesis.Nemesis{Rig: r.rig, Rng: rand.New(rand.NewPCG(r.Seed, 1)), Now: r.recorder.Now, Log: r.Log}
	if len(r.Faults) == 1 && r.Faults[0] == "none" {
		return n, nil
	}
	faults, err := nemesis.Choose(r.Faults)
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		if f.Network && r.rig.Network == nil || f.Disks && r.rig.WithoutDisks != "" || f.Clocks && r.rig.WithoutClocks != "" ||
			f.Clients && !r.crewed() || f.Previous && r.rig.Previous == "" {
			r.report.Skipped = append(r.report.Skipped, f.Name)
			continue
		}
		n.Faults = append(n.Faults, f)
		r.report.Possible = append(r.report.Possible, f.Name)
	}
	return n, nil
}

// watch starts a watcher at every node, and waits until they watch.
func (r *run) watch(ctx context.Context, group *sync.WaitGroup) error {
	r.watchers = map[string]*workload.Watcher{}
	for i, endpoint := range r.rig.Endpoints() {
		conn, err := client.Dial(client.Config{Endpoints: []string{endpoint}})
		if err != nil {
			return err
		}
		w, name := workload.NewWatcher(conn, watcherID(i), r.recorder), "at "+r.rig.Nodes()[i].Name
		r.watchers[name] = w
		group.Go(func() {
			defer func() { _ = conn.Close() }()
			if err := w.Run(ctx); err != nil {
				r.Log.Error("a watch ended", "watcher", name, "error", err)
			}
		})
		beginning, cancel := context.WithTimeout(ctx, recoverTime)
		_, err = w.Told(beginning, 0)
		cancel()
		if err != nil {
			return fmt.Errorf("watch %s: %w", name, err)
		}
	}
	return nil
}

// work lets clients work while faults happen, until the time is over and all
// faults are healed.
func (r *run) work(ctx context.Context, n *nemesis.Nemesis) error {
	all, err := client.Dial(client.Config{Endpoints: r.rig.Endpoints()})
	if err != nil {
		return err
	}
	defer func() { _ = all.Close() }()
	for _, w := range r.workloads {
		if err := w.Prepare(ctx, all); err != nil {
			return fmt.Errorf("prepare %s: %w", w.Name(), err)
		}
	}
	working, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	if err := r.startClients(working, &clients); err != nil {
		return err
	}
	if err := r.startCrews(); err != nil {
		return errors.Join(err, r.closeCrews(ctx))
	}
	err = n.Run(working)
	return errors.Join(err, r.closeCrews(ctx))
}

// startClients starts the clients that are no processes of their own: every second
// one, those that share what they know, and those that only read.
func (r *run) startClients(ctx context.Context, group *sync.WaitGroup) error {
	for i, w := range r.workloads {
		step := 2
		if _, ok := w.(workload.Together); ok {
			step = 1
		}
		for turn := 0; turn < r.Clients; turn += step {
			if err := r.startClient(ctx, group, w, r.member(i, turn), w.Run); err != nil {
				return err
			}
		}
		reader, ok := w.(workload.Reader)
		if !ok {
			continue
		}
		for k, endpoint := range r.rig.Endpoints() {
			m := crew.Member{ID: 100*i + r.Clients + k, Know: []string{endpoint}}
			if err := r.startClient(ctx, group, w, m, reader.Read); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) startClient(
	ctx context.Context, group *sync.WaitGroup, w workload.Workload, m crew.Member, work func(context.Context, int, *client.Client, *rand.Rand),
) error {
	conn, err := workload.Dial(r.recorder, w, m.ID, m.Know)
	if err != nil {
		return err
	}
	group.Go(func() {
		defer func() { _ = conn.Close() }()
		work(ctx, m.ID, conn, rand.New(rand.NewPCG(r.Seed, uint64(m.ID)+2)))
	})
	return nil
}

// member is a client of a workload; every third one knows one node only.
func (r *run) member(i, turn int) crew.Member {
	endpoints := r.rig.Endpoints()
	if turn%3 == 0 {
		endpoints = endpoints[(i+turn/3)%len(endpoints):][:1]
	}
	return crew.Member{ID: 100*i + turn, Workload: r.workloads[i].Name(), Know: endpoints}
}

// crewed reports whether some clients are processes of their own: not those that
// share what they know.
func (r *run) crewed() bool {
	return r.Clients > 1 && slices.ContainsFunc(r.workloads, func(w workload.Workload) bool {
		_, together := w.(workload.Together)
		return !together
	})
}

// startCrews starts the processes of clients, each with one of every workload.
func (r *run) startCrews() error {
	if !r.crewed() {
		return nil
	}
	for turn := 1; turn < r.Clients; turn += 2 {
		task := crew.Task{Seed: r.Seed, Judge: r.rig.Judge.Socket}
		for i, w := range r.workloads {
			if _, ok := w.(workload.Together); !ok {
				task.Members = append(task.Members, r.member(i, turn))
			}
		}
		c := crew.New(fmt.Sprintf("crew-%d", turn/2+1), r.Dir, task, r.recorder)
		r.rig.Crews = append(r.rig.Crews, c)
		if err := c.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) closeCrews(ctx context.Context) error {
	errs := make([]error, len(r.rig.Crews))
	var all sync.WaitGroup
	for i, c := range r.rig.Crews {
		all.Go(func() { errs[i] = c.Close(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// finish waits until the cluster serves, and has the workloads record what there
// is in the end.
func (r *run) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	if err := r.ready(ctx); err != nil {
		return &rig.ShownError{What: "the cluster does not recover", Err: err}
	}
	conn, err := client.Dial(client.Config{Endpoints: r.rig.Endpoints()})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, w := range r.workloads {
		if last, ok := w.(workload.Finisher); ok {
			if err := last.Finish(ctx, conn); err != nil {
				return fmt.Errorf("what there is in the end of %s: %w", w.Name(), err)
			}
		}
	}
	return nil
}

// final waits until the cluster serves, and returns what each node has, and what
// each watcher was told up to then.
func (r *run) final(ctx context.Context, ops []history.Op) (check.Final, map[string][]check.Told, error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	last, err := r.recovered(ctx)
	if err != nil {
		return nil, nil, &rig.ShownError{What: "the cluster does not recover", Err: err}
	}
	r.last = last
	final, told := check.Final{}, map[string][]check.Told{}
	for i, endpoint := range r.rig.Endpoints() {
		node, err := client.Dial(client.Config{Endpoints: []string{endpoint}})
		if err != nil {
			return nil, nil, err
		}
		name := r.rig.Nodes()[i].Name
		final[name], err = workload.Final(ctx, node, last, ops)
		if closeErr := node.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, nil, fmt.Errorf("what node %s has: %w", name, err)
		}
	}
	for name, w := range r.watchers {
		if told[name], err = w.Told(ctx, last); err != nil {
			return nil, nil, &rig.ShownError{What: "watcher " + name + " does not come to the end", Err: err}
		}
	}
	return final, told, nil
}

// ready waits until all nodes are ready. Those that end themselves meanwhile,
// because of what their disks did before, are started again.
func (r *run) ready(ctx context.Context) error {
	for {
		if err := r.rig.Revive(); err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := r.rig.ReadyAll(waiting)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// recovered waits until the cluster takes a save, and until nothing is undecided,
// and returns the revision of another save after that.
func (r *run) recovered(ctx context.Context) (hawser.Revision, error) {
	if err := r.ready(ctx); err != nil {
		return 0, err
	}
	conn, err := client.Dial(client.Config{Endpoints: r.rig.Endpoints()})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	for {
		open := 0
		for txn, err := range conn.Txns(ctx) {
			if err != nil {
				return 0, err
			}
			if !txn.State.Decided() {
				open++
			}
		}
		if open == 0 {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d transactions are not decided: %w", open, ctx.Err())
		}
	}
	last, err := conn.Agent("end").Save(ctx, []byte("of the run"), client.Overwrite())
	return last.Revision, err
}
