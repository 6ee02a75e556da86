// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser/jepsen/mutant"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// maxRuns bounds the runs in which a mutant must be found.
const maxRuns = 3

// hunt looks for every mutant that is named, and prints how long that took.
func hunt(ctx context.Context, plan Plan, names string) (code int, err error) {
	mutants := mutant.All()
	if names != "all" {
		wanted := strings.Split(names, ",")
		mutants = slices.DeleteFunc(mutants, func(m mutant.Mutant) bool { return !slices.Contains(wanted, m.Name) })
		if len(mutants) != len(wanted) {
			return codeFailed, fmt.Errorf("not all of %q are mutants", names)
		}
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hawserdb/hawser").Output()
	if err != nil {
		return codeFailed, fmt.Errorf("find the module: %w", err)
	}
	if err := control(ctx, plan); err != nil {
		return codeFailed, fmt.Errorf("the program without a defect: %w", err)
	}
	var lines []string
	for _, m := range mutants {
		began := time.Now()
		how, err := find(ctx, plan, m, strings.TrimSpace(string(root)))
		switch {
		case err != nil:
			return codeFailed, err
		case how == "":
			code = codeBroken
			lines = append(lines, fmt.Sprintf("NOT FOUND %-22s in %s: %s", m.Name, time.Since(began).Round(time.Second), m.Defect))
		default:
			lines = append(lines, fmt.Sprintf("found     %-22s in %s by %s: %s", m.Name, time.Since(began).Round(time.Second), how, m.Defect))
		}
		fmt.Println(lines[len(lines)-1])
	}
	fmt.Printf("\n%s\n", strings.Join(lines, "\n"))
	return code, nil
}

// control runs the program without a defect, which nobody may find.
func control(ctx context.Context, plan Plan) (err error) {
	if plan.Program, err = build(ctx, plan.Dir); err != nil {
		return err
	}
	plan.Dir = filepath.Join(plan.Dir, "control")
	if err := os.Mkdir(plan.Dir, 0o700); err != nil {
		return err
	}
	report, err := plan.Run(ctx)
	if err == nil && !report.Good() {
		report.Print(os.Stderr)
		err = errors.New("something was found, so that what is found in others proves nothing")
	}
	return err
}

// ended is for a cluster that shows a defect by what it does, as by the end of a node.
// Other errors are the harness's own.
func ended(err error) bool {
	if _, ok := errors.AsType[*rig.EndedError](err); ok {
		return true
	}
	_, ok := errors.AsType[*rig.ShownError](err)
	return ok
}

// find runs a mutant until a checker notices it. How is that checker, or the end
// of a node; "" if nothing noticed it.
func find(ctx context.Context, plan Plan, m mutant.Mutant, root string) (how string, err error) {
	if plan.Program, err = m.Build(ctx, root, plan.Dir); err != nil {
		return "", err
	}
	if len(m.Faults) > 0 {
		plan.Faults = m.Faults
	}
	if len(m.Workloads) > 0 {
		plan.Workloads = m.Workloads
	}
	dir := plan.Dir
	for run := range maxRuns {
		plan.Dir = filepath.Join(dir, fmt.Sprintf("%s-%d", m.Name, run+1))
		if err := os.Mkdir(plan.Dir, 0o700); err != nil {
			return "", err
		}
		report, err := plan.Run(ctx)
		if ctx.Err() != nil {
			return "", errors.Join(ctx.Err(), err)
		}
		for _, v := range report.Verdicts {
			if len(v.Violations) > 0 {
				return fmt.Sprintf("%q in run %d", v.Name, run+1), nil
			}
		}
		if ended(err) {
			return fmt.Sprintf("the end of the run %d (%.200s)", run+1, strings.ReplaceAll(err.Error(), "\n", " ")), nil
		}
		if err != nil {
			return "", fmt.Errorf("a run that proves nothing: %w", err)
		}
		if len(plan.Faults) > 0 && len(report.Unproved(plan.Faults)) == len(plan.Faults) {
			return "", fmt.Errorf("the faults by which it is to be found cannot be injected here: %s", strings.Join(plan.Faults, ", "))
		}
		plan.Seed++
	}
	return "", nil
}
