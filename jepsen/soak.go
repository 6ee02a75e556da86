// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// soak repeats the plan with one seed after the other until a time is over, and
// writes what all runs together have shown. It goes on after a run that finds
// something, whose directory stays.
func soak(ctx context.Context, plan Plan, duration time.Duration) (int, error) {
	code := codeOK
	sum := &soaked{faults: map[string]*faultSummary{}, checked: map[string]int{}, level: map[string]int{}}
	dir, begin := plan.Dir, time.Now()
	for time.Since(begin) < duration && ctx.Err() == nil {
		plan.Dir = filepath.Join(dir, fmt.Sprintf("run-%03d", sum.runs+1))
		if err := os.Mkdir(plan.Dir, 0o700); err != nil {
			return codeFailed, err
		}
		good := sum.run(ctx, plan)
		text := sum.text(time.Since(begin))
		errs := []error{os.WriteFile(filepath.Join(dir, "soak.md"), []byte(text), 0o600)}
		if good {
			errs = append(errs, os.RemoveAll(plan.Dir))
		} else {
			code = codeBroken
		}
		if err := errors.Join(errs...); err != nil {
			return codeFailed, err
		}
		plan.Seed++
	}
	fmt.Println(sum.text(time.Since(begin)))
	return code, nil
}

// soaked is what many runs have shown.
type soaked struct {
	runs, ops int
	working   time.Duration
	faults    map[string]*faultSummary
	checked   map[string]int
	level     map[string]int
	broken    []string
}

// run runs the plan and adds what it shows. It reports whether all was well.
func (s *soaked) run(ctx context.Context, plan Plan) (good bool) {
	r, err := plan.Run(ctx)
	if ctx.Err() != nil && !r.Broken() {
		return false // it was interrupted, and shows nothing
	}
	s.runs++
	s.ops += len(r.Ops)
	s.working += plan.Duration
	s.level[r.Level]++
	for _, f := range r.faults() {
		sum := s.faults[f.name]
		if sum == nil {
			sum = &faultSummary{name: f.name, outcomes: outcomes{}}
			s.faults[f.name] = sum
		}
		sum.times += f.times
		sum.without += f.without
		sum.gap = max(sum.gap, f.gap)
		for outcome, n := range f.outcomes {
			sum.outcomes[outcome] += n
		}
	}
	for _, v := range r.Verdicts {
		s.checked[v.Name] += v.Checked
		if !v.Good() {
			s.broken = append(s.broken, fmt.Sprintf("%s: %s %v (%s)", v.Name, v.Inconclusive, v.Violations, plan.Again()))
		}
	}
	if err != nil {
		s.broken = append(s.broken, fmt.Sprintf("%v (%s)", err, plan.Again()))
	}
	return err == nil && r.Good()
}

func (s *soaked) text(took time.Duration) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# %d runs in %s, %s of faults, %d operations", s.runs, took.Round(time.Second), s.working, s.ops)
	p("")
	for _, level := range slices.Sorted(maps.Keys(s.level)) {
		p("%d runs with nodes %s.", s.level[level], level)
	}
	p("\n| fault | times | without effect, or with an error | longest time without an answered save | what became of it |\n|---|---|---|---|---|")
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		f := s.faults[name]
		p("| %s | %d | %d | %s | %s |", f.name, f.times, f.without, f.gap.Round(time.Millisecond), f.outcomes)
	}
	p("\n| promise | checked |\n|---|---|")
	for _, name := range slices.Sorted(maps.Keys(s.checked)) {
		p("| %s | %d |", name, s.checked[name])
	}
	p("\n%d violations, inconclusive checks and runs that failed.\n", len(s.broken))
	for _, text := range s.broken {
		p("- %s", text)
	}
	return b.String()
}
