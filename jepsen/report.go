// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
}

// Good reports whether every promise was kept, and that could be seen.
func (r *Report) Good() bool {
	return len(r.Verdicts) > 0 && !slices.ContainsFunc(r.Verdicts, func(v check.Verdict) bool { return !v.Good() })
}

// Write writes the report, and pictures of what was broken, into a directory.
func (r *Report) Write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, "report.json"), append(text, '\n'), 0o600)}
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
	p("longest time without an answered save: %s", longestGap(r.Ops).Round(time.Millisecond))
	byFault, without := map[string]int{}, map[string]int{}
	for _, e := range r.Events {
		byFault[e.Fault]++
		if e.Error != "" {
			without[e.Fault]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byFault)) {
		p("fault %-16s %3d, %d without effect or with an error", name, byFault[name], without[name])
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
		default:
			p("ok: %s (%d checked)", v.Name, v.Checked)
		}
	}
}

// longestGap is the longest time in which no save was answered.
func longestGap(ops []history.Op) (longest time.Duration) {
	var ends []time.Duration
	for _, op := range ops {
		if op.Kind == history.Save && op.Outcome == history.OK {
			ends = append(ends, op.Return)
		}
	}
	slices.Sort(ends)
	for i := 1; i < len(ends); i++ {
		longest = max(longest, ends[i]-ends[i-1])
	}
	return longest
}
