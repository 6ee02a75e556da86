// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package rig runs a cluster of real processes of the built program, on a
// network that can be spoilt if this machine allows it.
package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/procs"
	"github.com/hawserdb/hawser/jepsen/clock"
	"github.com/hawserdb/hawser/jepsen/crew"
	"github.com/hawserdb/hawser/jepsen/faultfs"
)

// Config describes a rig.
type Config struct {
	// Program is the hawser executable.
	Program string
	// Previous is one of an older version, "" for none.
	Previous string
	// Dir holds the nodes' files; it must be empty.
	Dir string
	// Nodes is how many there are.
	Nodes int
	// Seed decides what links do by chance.
	Seed uint64
	// Joined is by what the nodes are joined, one of [Joints]; "" is the first of
	// them that this machine allows.
	Joined string
	Log    *slog.Logger
}

// Rig is a running cluster of Size nodes, and a place for one more that may join
// it. Its methods may be called from any goroutine.
type Rig struct {
	*procs.Cluster

	// Network joins the nodes, and this process with all others, which is host
	// Hosts(); nil when they are joined by loopback. Joined says by what, and why by
	// nothing better.
	Network Network
	Joined  string
	// Disks are those of the nodes; nil when they use the machine's, and
	// WithoutDisks says why.
	Disks        []*faultfs.Disk
	WithoutDisks string
	// Crews are the processes of clients; who starts them sets and ends them.
	Crews []*crew.Crew
	// Judge is the process of the resource that locks guard; who starts it sets and
	// ends it.
	Judge *crew.Judge
	// WithoutClocks is why the clock of a node cannot be set; "" when it can.
	WithoutClocks string

	// Previous is the program of an older version, "" for none.
	Previous string

	dir     string
	program string
	roles   *roles
}

// startTime bounds the start of a cluster, stopTime its end.
const (
	startTime = 60 * time.Second
	stopTime  = 20 * time.Second
)

// Start starts a cluster and waits until it is ready. The caller closes it.
func Start(ctx context.Context, cfg Config) (*Rig, error) {
	r := &Rig{}
	if err := r.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, cfg Config) error {
	r.dir, r.program, r.Previous = cfg.Dir, cfg.Program, cfg.Previous
	secret := filepath.Join(cfg.Dir, "secret")
	if out, err := exec.CommandContext(ctx, cfg.Program, "secret", "generate", "-f", secret).CombinedOutput(); err != nil {
		return fmt.Errorf("make a secret: %w: %s", err, out)
	}
	plan := procs.Config{Path: cfg.Program, Founders: cfg.Nodes, SecretFile: secret, Args: []string{"--insecure", "--log-level", "debug"}}
	if err := r.join(cfg, &plan); err != nil {
		return err
	}
	r.mount(cfg, plan.Nodes)
	r.Cluster = procs.NewCluster(plan)
	r.roles = newRoles(cfg.Nodes, len(plan.Nodes))
	if err := r.StartAll(); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := r.ReadyAll(ready); err != nil {
		return err
	}
	if err := r.learn(ready); err != nil {
		return err
	}
	if _, err := clock.Take(r.Process(0).PID()); err != nil {
		r.WithoutClocks = err.Error()
	}
	return nil
}

// mount gives every node a disk of its own, if that can be done here.
func (r *Rig) mount(cfg Config, nodes []procs.Node) {
	for i := range nodes {
		d, err := faultfs.Mount(nodes[i].Dir)
		if err != nil {
			cfg.Log.Warn("no disks of our own: faults of disks are skipped", "error", err)
			r.WithoutDisks = err.Error()
			return
		}
		r.Disks = append(r.Disks, d)
	}
	for i, d := range r.Disks {
		nodes[i].Dir = filepath.Join(d.Path(), "data")
	}
}

// Size returns the number of nodes that the cluster is to have.
func (r *Rig) Size() int { return len(r.Endpoints()) }

// Spare is the place of a further node.
func (r *Rig) Spare() int { return r.Size() }

// Hosts returns the number of hosts of the network that nodes may have.
func (r *Rig) Hosts() int { return len(r.Nodes()) }

// Leader returns the node that says it leads, -1 when none that answers does.
func (r *Rig) Leader(ctx context.Context) int {
	for i := range r.Nodes() {
		if value, err := r.Metric(ctx, i, "hawser_leader"); err == nil && value == "1" {
			return i
		}
	}
	return -1
}

// Metric asks a node for one of its metrics.
func (r *Rig) Metric(ctx context.Context, i int, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Nodes()[i].HTTP+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return value, nil
		}
	}
	return "", errors.Join(fmt.Errorf("node %d has no metric %s", i, name), lines.Err())
}

// Running reports whether the newest process of a node has not ended.
func (r *Rig) Running(i int) bool {
	p := r.Process(i)
	if p == nil {
		return false
	}
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Start starts a node, unless its place is empty.
func (r *Rig) Start(i int) error {
	if r.roles.isAway(i) {
		return nil
	}
	return r.Cluster.Start(i)
}

// Revive starts every node that has ended, as a supervisor does, and none that
// refuses to run. An end that no fault explains is an error.
func (r *Rig) Revive() error {
	for i := range r.Nodes() {
		if r.Process(i) == nil || r.Running(i) {
			continue
		}
		if err := r.Explain(i); err != nil {
			return err
		}
		if r.Refuses(i) {
			continue
		}
		if err := r.Start(i); err != nil {
			return err
		}
	}
	return nil
}

// Explain returns an error if a node has ended by itself for another reason than
// that its disk had failed it, that its files were damaged, or that it was removed.
func (r *Rig) Explain(i int) error {
	p := r.Process(i)
	code := p.ExitCode()
	panicked := strings.Contains(p.Tail(maxTail), "panicked")
	switch {
	case panicked:
	case code == 0 && p.AskedToStop(), code == -1 && p.AskedToEnd(), r.Refuses(i):
		return nil
	case slices.Contains(failures, code) && r.failed(i):
		return nil
	}
	node := r.Nodes()[i]
	return &EndedError{Node: node.Name, Code: code, Reason: halt.Reason(code).String(), Panicked: panicked, Log: node.Log}
}

// maxTail is how much of the end of a log is looked at.
const maxTail = 64 << 10

// failures are the exit codes of a node whose disk has failed it.
var failures = []int{halt.Log.ExitCode(), halt.Stable.ExitCode(), halt.Engine.ExitCode(), halt.Hung.ExitCode()}

// failed reports whether the disk of a node has ever failed it, or a file of it was
// damaged.
func (r *Rig) failed(i int) bool {
	if r.roles.get(i).damaged > 0 || r.Disks == nil {
		return r.Disks != nil
	}
	c := r.Disks[i].Counts()
	return c.SyncErrors+c.SlowSyncs+c.HungSyncs+c.Refused > 0
}

// ShownError is what the cluster has shown by what it does, and no client: it does not
// recover, a node neither serves nor refuses, or goes on though it must not.
type ShownError struct {
	What string
	Err  error // nil for none
}

// Error implements error.
func (e *ShownError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return fmt.Sprintf("%s: %v", e.What, e.Err)
}

// Unwrap returns the cause.
func (e *ShownError) Unwrap() error { return e.Err }

// EndedError is a node that has ended by itself, and no fault explains it.
type EndedError struct {
	Node     string
	Code     int
	Reason   string
	Panicked bool
	Log      string
}

// Error implements error.
func (e *EndedError) Error() string {
	s := fmt.Sprintf("node %s ended with code %d (%s)", e.Node, e.Code, e.Reason)
	if e.Panicked {
		s += ", by a panic"
	}
	return s + "; see its log, " + e.Log
}

// Kill ends the process of a node with SIGKILL and waits for its end, for which a
// sync that hangs must not be waited for.
func (r *Rig) Kill(i int) error {
	if r.Disks != nil {
		r.Disks[i].Release()
	}
	if p := r.Process(i); p != nil {
		return p.Kill()
	}
	return nil
}

// Stuck reports whether a node cannot end by itself: its process stands still, or
// waits for its disk.
func (r *Rig) Stuck(i int) bool {
	return r.Paused(i) || r.Disks != nil && r.Disks[i].Hangs()
}

// Pause stops the process of a node, and returns once the system says that it
// stands still.
func (r *Rig) Pause(i int) error { return Freeze(r.Process(i)) }

// Freeze stops a process, and returns once the system says that it stands still.
func Freeze(p *procs.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for range 100 {
		state, err := processState(p.PID())
		if err != nil || state == "T" {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("process %d does not stop", p.PID())
}

// Paused reports whether a node's process stands still.
func (r *Rig) Paused(i int) bool {
	state, err := processState(r.Process(i).PID())
	return err == nil && state == "T"
}

// Resume lets a process go on that Pause has stopped.
func (r *Rig) Resume(i int) error { return r.Process(i).Signal(syscall.SIGCONT) }

func processState(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state, nil
}

// Close ends all nodes and removes the network, also when ctx has ended.
func (r *Rig) Close(ctx context.Context) error {
	var errs []error
	for _, d := range r.Disks {
		d.Set(faultfs.Faults{})
	}
	if r.Cluster != nil {
		for i := range r.Nodes() {
			if r.Running(i) {
				errs = append(errs, r.Resume(i))
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		errs = append(errs, r.StopAll(ctx))
	}
	for _, d := range r.Disks {
		errs = append(errs, d.Close())
	}
	if r.Network != nil {
		errs = append(errs, r.Network.Close())
	}
	return errors.Join(errs...)
}
