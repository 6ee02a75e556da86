// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/nemesis"
	"github.com/hawserdb/hawser/jepsen/rig"
)

const (
	// progressWithin is how soon after the beginning of a lasting fault every client
	// must have a save answered, and the longest gap from then on: three times raft's
	// election timeout, and half a second for one that a lost vote repeats.
	progressWithin = 5 * time.Second
	// probeTime bounds a save of a probe, probePause is the time between two of them.
	probeTime  = 3 * time.Second
	probePause = 20 * time.Millisecond
	// probes is how many clients save.
	probes = 4
)

// lived is what one lasting fault has shown.
type lived struct {
	name, what string
	saves      int
	// first is the time to the first answered save of the client that waited longest,
	// gap the longest time without one of any client.
	first, gap time.Duration
	within     time.Duration
	err        error
}

func (l lived) good() bool { return l.err == nil && l.gap <= l.within }

// liveness holds one lasting fault after the other for a while, and reports whether
// clients go on saving. Faults by name are those of the plan, none of them all.
func liveness(ctx context.Context, plan Plan, hold time.Duration) (code int, err error) {
	faults, err := lasting(plan.Faults)
	if err != nil {
		return codeFailed, err
	}
	r, err := rig.Start(ctx, plan.rig())
	if err != nil {
		return codeFailed, err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	var list []lived
	var skipped []string
	rng := rand.New(rand.NewPCG(plan.Seed, 1))
	for _, f := range faults {
		if f.Network && r.Network == nil || f.Disks && r.WithoutDisks != "" {
			skipped = append(skipped, f.Name)
			continue
		}
		l := live(ctx, r, f, rng, hold)
		plan.Log.Info("lasting fault", "fault", f.Name, "what", l.what, "first", l.first, "gap", l.gap, "good", l.good())
		list = append(list, l)
		if err := steady(ctx, r); err != nil {
			return codeFailed, fmt.Errorf("after %s: %w", f.Name, err)
		}
	}
	text := livenessText(plan, level(r), hold, list, skipped)
	fmt.Print(text)
	if slices.ContainsFunc(list, func(l lived) bool { return !l.good() }) {
		code = codeBroken
	}
	return code, os.WriteFile(filepath.Join(plan.Dir, "liveness.md"), []byte(text), 0o600)
}

// lasting returns the lasting faults of some names, all of them for none.
func lasting(names []string) (chosen []nemesis.Lasting, err error) {
	for _, f := range nemesis.AllLasting() {
		if len(names) == 0 || slices.Contains(names, f.Name) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) < len(names) {
		return nil, fmt.Errorf("not all of %q are lasting faults", strings.Join(names, ","))
	}
	return chosen, nil
}

// live lets clients save while a fault lasts, and heals it.
func live(ctx context.Context, r *rig.Rig, f nemesis.Lasting, rng *rand.Rand, hold time.Duration) lived {
	l := lived{name: f.Name, within: max(f.Within, progressWithin)}
	saving, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &probing{begin: time.Now()}
	defer p.clients.Wait()
	if l.err = p.start(saving, r); l.err != nil {
		cancel()
		return l
	}
	sleep(ctx, time.Second)
	injury, err := f.Begin(ctx, r, rng)
	if err != nil {
		cancel()
		if l.err = err; injury.Heal != nil { // of a part of it
			l.err = errors.Join(err, injury.Heal(ctx))
		}
		return l
	}
	begin := time.Now()
	l.what = injury.What
	sleep(ctx, max(hold, l.within+time.Second))
	l.saves, l.first, l.gap = p.judge(begin.Sub(p.begin), time.Since(p.begin))
	cancel()
	if injury.Proof != nil {
		l.err = injury.Proof()
	}
	l.err = errors.Join(l.err, injury.Heal(ctx))
	return l
}

// probing are clients that save, each an agent of its own.
type probing struct {
	begin   time.Time
	clients sync.WaitGroup

	mu    sync.Mutex
	saves [][]answered // of each client
}

// answered is a save that was, by the clock of the probing.
type answered struct{ call, end time.Duration }

func (p *probing) start(ctx context.Context, r *rig.Rig) error {
	p.saves = make([][]answered, probes)
	for id := range p.saves {
		conn, err := client.Dial(client.Config{Endpoints: r.Endpoints()})
		if err != nil {
			return err
		}
		p.clients.Go(func() {
			defer func() { _ = conn.Close() }()
			p.run(ctx, id, conn.Agent(fmt.Sprintf("probe/%d", id)))
		})
	}
	return nil
}

// run saves until ctx ends.
func (p *probing) run(ctx context.Context, id int, agent *client.Agent) {
	for n := 0; sleep(ctx, probePause); n++ {
		saving, cancel := context.WithTimeout(ctx, probeTime)
		call := time.Since(p.begin)
		_, err := agent.Save(saving, fmt.Appendf(nil, "state %d", n), client.Overwrite())
		cancel()
		if err == nil {
			p.mu.Lock()
			p.saves[id] = append(p.saves[id], answered{call, time.Since(p.begin)})
			p.mu.Unlock()
		}
	}
}

// judge returns how many saves were begun and answered between two times, and what
// the client that fared worst has seen: how long its first one took to come, and
// the longest time without one.
func (p *probing) judge(from, to time.Duration) (saves int, first, gap time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.saves {
		last, begun := from, false
		for _, s := range list {
			if s.call < from || s.end > to {
				continue
			}
			if !begun {
				first, begun = max(first, s.end-from), true
			}
			saves++
			gap, last = max(gap, s.end-last), s.end
		}
		if gap = max(gap, to-last); !begun {
			first = max(first, to-from)
		}
	}
	return saves, first, gap
}

// steady waits until all nodes are well again.
func steady(ctx context.Context, r *rig.Rig) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	for {
		if err := r.Revive(); err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := r.ReadyAll(waiting)
		cancel()
		if err == nil && r.Leader(ctx) >= 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the cluster does not recover: %w", errors.Join(err, ctx.Err()))
		}
	}
}

func livenessText(plan Plan, level string, hold time.Duration, list []lived, skipped []string) string {
	var b strings.Builder
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	p("seed %d, nodes %s", plan.Seed, level)
	for _, name := range skipped {
		p("SKIPPED %s", name)
	}
	p("each fault lasts %s or longer; no client may be without an answered save for longer than is allowed\n", hold)
	p("| lasting fault | saves | first answered after | longest gap | allowed | |\n|---|---|---|---|---|---|")
	for _, l := range list {
		verdict := "ok"
		if l.err != nil {
			verdict = "FAILED: " + l.err.Error()
		} else if !l.good() {
			verdict = "BROKEN: " + l.what
		}
		p("| %s | %d | %s | %s | %s | %s |", l.name, l.saves, l.first.Round(time.Millisecond), l.gap.Round(time.Millisecond), l.within, verdict)
	}
	return b.String()
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
