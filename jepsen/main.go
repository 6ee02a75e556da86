// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Jepsen runs a real cluster, lets clients use it while faults happen to it, and
// checks that what the clients saw is what Hawser guarantees. See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hawserdb/hawser/jepsen/crew"
	"github.com/hawserdb/hawser/jepsen/judge"
	"github.com/hawserdb/hawser/jepsen/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := command(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "jepsen:", err)
	}
	os.Exit(code)
}

// Exit codes: a promise was broken, or the run itself went wrong.
const (
	codeOK = iota
	codeBroken
	codeFailed
)

// processes are what the executable also is, when a run starts it.
var processes = map[string]func(ctx context.Context, task string, in io.Reader, out io.Writer) error{
	crew.Command: crew.Main, judge.Command: judge.Main,
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func command(ctx context.Context, args []string) (code int, err error) {
	if process := processes[firstOf(args)]; process != nil && len(args) == 2 {
		if err := process(ctx, args[1], os.Stdin, os.Stdout); err != nil {
			return codeFailed, err
		}
		return codeOK, nil
	}
	var plan Plan
	var workloads, faults, mutants, out string
	var soaking, hold time.Duration
	var lives bool
	flags := flag.NewFlagSet("jepsen", flag.ContinueOnError)
	flags.Uint64Var(&plan.Seed, "seed", rand.Uint64(), "decides the faults and what clients do")
	flags.DurationVar(&plan.Duration, "duration", time.Minute, "how long clients work and faults happen")
	flags.IntVar(&plan.Nodes, "nodes", 3, "nodes of the cluster")
	flags.IntVar(&plan.Clients, "clients", 6, "clients of each workload")
	flags.StringVar(&workloads, "workloads", "", "workloads by name, separated by commas (default: all)")
	flags.StringVar(&faults, "faults", "", "faults by name, separated by commas (default: all that this machine can inject; none: none)")
	flags.StringVar(&plan.Program, "program", "", "the hawser executable (default: built from this checkout)")
	flags.StringVar(&plan.Previous, "previous", "", "an executable of an older version, to and from which nodes are upgraded (default: none, and the fault is skipped)")
	flags.StringVar(&plan.Network, "network", "", "what joins the nodes: "+strings.Join(rig.Joints, ", ")+" (default: the first of them that this machine allows)")
	flags.StringVar(&mutants, "mutants", "", "build programs with known defects instead, by name, separated by commas, or all, and find them")
	flags.DurationVar(&soaking, "soak", 0, "repeat with one seed after the other for so long, and write soak.md")
	flags.BoolVar(&lives, "liveness", false, "hold lasting faults instead, one after the other, and judge whether clients go on saving")
	flags.DurationVar(&hold, "hold", 8*time.Second, "how long each lasting fault is held")
	flags.StringVar(&out, "out", "", "directory of the report, made new (default: a temporary one, removed when all is well)")
	if err := flags.Parse(args); err != nil {
		return codeFailed, nil //nolint:nilerr // flag has printed it
	}
	if faults != "" {
		plan.Faults = strings.Split(faults, ",")
	}
	if workloads != "" {
		plan.Workloads = strings.Split(workloads, ",")
	}
	keep := out != ""
	if out == "" {
		out, err = os.MkdirTemp("", "hawser-jepsen-")
	} else {
		err = os.MkdirAll(out, 0o700)
	}
	if err != nil {
		return codeFailed, err
	}
	plan.Dir, err = filepath.Abs(out)
	if err == nil && plan.Program == "" && mutants == "" {
		plan.Program, err = build(ctx, plan.Dir)
	}
	if err == nil && plan.Previous != "" {
		if plan.Previous, err = filepath.Abs(plan.Previous); err == nil {
			plan.Previous, err = filepath.EvalSymlinks(plan.Previous)
		}
	}
	if err != nil {
		return codeFailed, err
	}
	plan.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if mutants != "" {
		return hunt(ctx, plan, mutants)
	}
	if soaking > 0 {
		return soak(ctx, plan, soaking)
	}
	if lives {
		code, err := liveness(ctx, plan, hold)
		if code == codeOK && err == nil && !keep {
			err = os.RemoveAll(plan.Dir)
		}
		return code, err
	}
	report, err := plan.Run(ctx)
	report.Print(os.Stdout)
	switch {
	case err != nil:
		return codeFailed, fmt.Errorf("%w; see %s", err, plan.Dir)
	case !report.Good():
		fmt.Printf("see %s; run it again with: go run ./jepsen %s\n", plan.Dir, plan.Again())
		return codeBroken, nil
	case !keep:
		return codeOK, os.RemoveAll(plan.Dir)
	}
	return codeOK, nil
}

// build builds the program of this checkout.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "hawser")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/hawserdb/hawser/cmd/hawser").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build hawser: %w\n%s", err, out)
	}
	return program, nil
}
