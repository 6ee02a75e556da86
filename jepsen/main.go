// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Jepsen runs a real cluster, lets clients use it while faults happen to it, and
// checks that what the clients saw is what Hawser guarantees. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hawserdb/hawser/jepsen/crew"
	"github.com/hawserdb/hawser/jepsen/judge"
	"github.com/hawserdb/hawser/jepsen/nemesis"
	"github.com/hawserdb/hawser/jepsen/rig"
	"github.com/hawserdb/hawser/jepsen/workload"
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

// Exit codes: a promise was broken or could not be judged, the run itself went wrong, a
// fault that was asked for showed no effect, or somebody has ended it.
const (
	codeOK          = 0
	codeBroken      = 1
	codeFailed      = 2
	codeUnproved    = 3
	codeInterrupted = 130
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
	o, err := parse(args)
	if err != nil || o == nil {
		return codeFailed, err
	}
	if err := o.place(ctx); err != nil {
		if o.out == "" && o.plan.Dir != "" {
			err = errors.Join(err, os.RemoveAll(o.plan.Dir))
		}
		return codeFailed, err
	}
	o.plan.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	code, err = o.run(ctx)
	interrupted := ctx.Err() != nil && code != codeBroken
	if interrupted {
		code, err = codeInterrupted, errors.New("interrupted, which proves nothing")
	}
	if interrupted || code == codeOK && o.soaking == 0 {
		if o.out == "" {
			err = errors.Join(err, os.RemoveAll(o.plan.Dir))
		}
	}
	return code, err
}

// orders are what the flags ask for.
type orders struct {
	plan          Plan
	mutants, out  string
	soaking, hold time.Duration
	lives         bool
}

// parse returns nil if the flags are not valid and that is printed already.
func parse(args []string) (*orders, error) {
	var o orders
	var workloads, faults string
	flags := flag.NewFlagSet("jepsen", flag.ContinueOnError)
	flags.Uint64Var(&o.plan.Seed, "seed", rand.Uint64(), "decides the faults and what clients do")
	flags.DurationVar(&o.plan.Duration, "duration", time.Minute, "how long clients work and faults happen")
	flags.IntVar(&o.plan.Nodes, "nodes", 3, "nodes of the cluster")
	flags.IntVar(&o.plan.Clients, "clients", 6, "clients of each workload")
	flags.StringVar(&workloads, "workloads", "", "workloads by name, separated by commas (default: all)")
	flags.StringVar(&faults, "faults", "", "faults by name, separated by commas, all of which must be injected and show an effect (default: those that this machine can inject, by chance; none: none)")
	flags.StringVar(&o.plan.Program, "program", "", "the hawser executable (default: built from this checkout)")
	flags.StringVar(&o.plan.Previous, "previous", "", "an executable of an older version, to and from which nodes are upgraded (default: none, and the fault is skipped)")
	flags.StringVar(&o.plan.Network, "network", "", "what joins the nodes: "+strings.Join(rig.Joints, ", ")+" (default: the first of them that this machine allows)")
	flags.StringVar(&o.mutants, "mutants", "", "build programs with known defects instead, by name, separated by commas, or all, and find them")
	flags.DurationVar(&o.soaking, "soak", 0, "repeat with one seed after the other for so long, and write soak.md")
	flags.BoolVar(&o.lives, "liveness", false, "hold lasting faults instead, one after the other, and judge whether clients go on saving")
	flags.DurationVar(&o.hold, "hold", 8*time.Second, "how long each lasting fault is held")
	flags.StringVar(&o.out, "out", "", "directory of the report, new or empty (default: a temporary one, removed when all is well)")
	if err := flags.Parse(args); err != nil {
		return nil, nil //nolint:nilerr,nilnil // flag has printed it
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("arguments that mean nothing: %q", flags.Args())
	}
	if faults != "" {
		o.plan.Faults = strings.Split(faults, ",")
	}
	if workloads != "" {
		o.plan.Workloads = strings.Split(workloads, ",")
	}
	return &o, o.check()
}

// check looks at all names and numbers before anything is started.
func (o *orders) check() error {
	p := &o.plan
	switch {
	case p.Nodes < 1 || p.Clients < 2 || p.Duration <= 0 || o.soaking < 0 || o.hold <= 0:
		return fmt.Errorf("%d nodes, %d clients, a duration of %v, a soak of %v, a hold of %v: it needs a node, two clients, and times above 0",
			p.Nodes, p.Clients, p.Duration, o.soaking, o.hold)
	case p.Network != "" && !slices.Contains(rig.Joints, p.Network):
		return fmt.Errorf("nodes cannot be joined by %q; %s are possible", p.Network, strings.Join(rig.Joints, ", "))
	}
	for _, name := range p.Workloads {
		if !slices.ContainsFunc(workload.All(nil, ""), func(w workload.Workload) bool { return w.Name() == name }) {
			return fmt.Errorf("%q is no workload", name)
		}
	}
	if o.lives || len(p.Faults) == 1 && p.Faults[0] == "none" {
		return nil
	}
	_, err := nemesis.Choose(p.Faults)
	return err
}

// place makes the directory, and the programs.
func (o *orders) place(ctx context.Context) (err error) {
	p := &o.plan
	p.Dir = o.out
	if o.out == "" {
		p.Dir, err = os.MkdirTemp("", "hawser-jepsen-")
	} else {
		err = os.MkdirAll(o.out, 0o700)
	}
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(p.Dir); err != nil || len(entries) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty: what is in it is not overwritten", p.Dir))
	}
	if p.Dir, err = filepath.Abs(p.Dir); err != nil {
		return err
	}
	if p.Previous != "" {
		if p.Previous, err = filepath.Abs(p.Previous); err == nil {
			p.Previous, err = filepath.EvalSymlinks(p.Previous)
		}
		if err != nil {
			return err
		}
	}
	if p.Program != "" {
		p.Given = true
		return identify(ctx, &p.Program)
	}
	if o.mutants == "" {
		p.Program, err = build(ctx, p.Dir)
	}
	return err
}

// identify checks that a program is a hawser.
func identify(ctx context.Context, program *string) (err error) {
	if *program, err = filepath.Abs(*program); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, *program, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hawser") {
		return errors.Join(err, fmt.Errorf("%s is no hawser: \"version\" says %q", *program, out))
	}
	return nil
}

// run does what was asked for.
func (o *orders) run(ctx context.Context) (code int, err error) {
	switch {
	case o.mutants != "":
		return hunt(ctx, o.plan, o.mutants)
	case o.soaking > 0:
		return soak(ctx, o.plan, o.soaking)
	case o.lives:
		return liveness(ctx, o.plan, o.hold)
	}
	report, err := o.plan.Run(ctx)
	report.Print(os.Stdout)
	switch {
	case report.Broken() || err == nil && !report.Good():
		fmt.Printf("see %s; run it again with: go run ./jepsen %s\n", o.plan.Dir, o.plan.Again())
		return codeBroken, err
	case err != nil:
		return codeFailed, fmt.Errorf("%w; see %s", err, o.plan.Dir)
	}
	if missing := report.Unproved(o.plan.Faults); len(missing) > 0 {
		return codeUnproved, fmt.Errorf("faults that were asked for could not be injected here, or none had an effect: %s; the run proves nothing of them; see %s", strings.Join(missing, ", "), o.plan.Dir)
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
