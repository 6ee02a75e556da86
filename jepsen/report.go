// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/nemesis"
)

// Report is what a run has shown.
type Report struct {
	Plan     string          `json:"plan"`
	Seed     uint64          `json:"seed"`
	Level    string          `json:"level"`
	Skipped  []string        `json:"skipped,omitempty"`
	Events   []nemesis.Event `json:"events"`
	Verdicts []check.Verdict `json:"verdicts"`
	Ops      []history.Op    `json:"-"`
	// Possible are the faults of which those that happened were drawn.
	Possible []string `json:"possible,omitempty"`
	// Failure is why the run did not come to its end, "" if it did.
	Failure string `json:"failure,omitempty"`
}

// Good reports whether every promise was kept, and that could be seen.
func (r *Report) Good() bool {
	return len(r.Verdicts) > 0 && !slices.ContainsFunc(r.Verdicts, func(v check.Verdict) bool { return !v.Good() })
}

// Broken reports whether a promise was broken, whatever else became of the run.
func (r *Report) Broken() bool {
	return slices.ContainsFunc(r.Verdicts, func(v check.Verdict) bool { return len(v.Violations) > 0 })
}

// Unproved returns those of the faults that were asked for that could not be injected;
// or all of them, if none of those that were had an effect.
func (r *Report) Unproved(asked []string) []string {
	if len(asked) == 1 && asked[0] == "none" {
		return nil
	}
	if !slices.ContainsFunc(r.Events, func(e nemesis.Event) bool { return e.Error == "" }) {
		return asked
	}
	return slices.DeleteFunc(slices.Clone(asked), func(name string) bool { return !slices.Contains(r.Skipped, name) })
}

// Write writes the report, and pictures of what was broken, into a directory.
func (r *Report) Write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, "report.json"), append(text, '\n'), 0o600)}
	var drawn bytes.Buffer
	errs = append(errs, r.Draw(&drawn), os.WriteFile(filepath.Join(dir, "report.html"), drawn.Bytes(), 0o600))
	for i, v := range r.Verdicts {
		if v.Picture != nil {
			errs = append(errs, os.WriteFile(filepath.Join(dir, fmt.Sprintf("violation-%d.html", i+1)), v.Picture, 0o600))
		}
	}
	return errors.Join(errs...)
}

// Print prints the report for people.
func (r *Report) Print(w io.Writer) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("seed %d, nodes %s", r.Seed, r.Level)
	for _, name := range r.Skipped {
		p("SKIPPED %s", name)
	}
	outcomes := map[history.Outcome]int{}
	for _, op := range r.Ops {
		outcomes[op.Outcome]++
	}
	p("%d operations: %d ok, %d failed, %d unknown", len(r.Ops), outcomes[history.OK], outcomes[history.Failed], outcomes[history.Unknown])
	for _, f := range r.faults() {
		p("fault %-20s %3d times, %d without effect or with an error; up to %s without an answered save", f.name, f.times, f.without, f.gap.Round(time.Millisecond))
		if len(f.outcomes) > 0 {
			p("  %s", f.outcomes)
		}
	}
	if missed := r.missed(); len(missed) > 0 {
		p("%d kinds of faults were not drawn: %s", len(missed), strings.Join(missed, ", "))
	}
	if r.Failure != "" {
		p("FAILED: %s", r.Failure)
	}
	for _, v := range r.Verdicts {
		switch {
		case len(v.Violations) > 0:
			p("BROKEN: %s (%d checked)", v.Name, v.Checked)
			for _, text := range v.Violations {
				p("  %s", text)
			}
		case v.Inconclusive != "":
			p("INCONCLUSIVE: %s: %s", v.Name, v.Inconclusive)
		case v.Checked == 0:
			p("INCONCLUSIVE: %s: there was nothing to check", v.Name)
		case v.Note != "":
			p("ok: %s (%d checked; %s)", v.Name, v.Checked, v.Note)
		default:
			p("ok: %s (%d checked)", v.Name, v.Checked)
		}
	}
}

// missed are the faults that were possible and not drawn.
func (r *Report) missed() []string {
	return slices.DeleteFunc(slices.Clone(r.Possible), func(name string) bool {
		return slices.ContainsFunc(r.Events, func(e nemesis.Event) bool { return e.Fault == name })
	})
}

// faultSummary is what a run shows of one kind of fault.
type faultSummary struct {
	name           string
	times, without int
	// gap is the longest time without an answered save that it had a part in.
	gap time.Duration
	// outcomes count what became of it, where that differs.
	outcomes outcomes
}

// outcomes are numbers of outcomes of a fault by their names.
type outcomes map[string]int

// String lists them.
func (o outcomes) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		list = append(list, fmt.Sprintf("%d %s", o[name], name))
	}
	return strings.Join(list, ", ")
}

func (r *Report) faults() (list []faultSummary) {
	gaps := gaps(r.Ops)
	byName := map[string]*faultSummary{}
	for _, e := range r.Events {
		f := byName[e.Fault]
		if f == nil {
			f = &faultSummary{name: e.Fault, outcomes: outcomes{}}
			byName[e.Fault] = f
		}
		if f.times++; e.Error != "" {
			f.without++
		}
		if e.Outcome != "" {
			f.outcomes[e.Outcome]++
		}
		for _, g := range gaps {
			if g[0] < e.End && e.Begin < g[1] {
				f.gap = max(f.gap, g[1]-g[0])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, *byName[name])
	}
	return list
}

// gaps are the times between one answered save and the next.
func gaps(ops []history.Op) (gaps [][2]time.Duration) {
	var ends []time.Duration
	for _, op := range ops {
		if op.Kind == history.Save && op.Outcome == history.OK {
			ends = append(ends, op.Return)
		}
	}
	slices.Sort(ends)
	for i := 1; i < len(ends); i++ {
		gaps = append(gaps, [2]time.Duration{ends[i-1], ends[i]})
	}
	return gaps
}
