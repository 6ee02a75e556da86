// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser/jepsen/rig"
)

// chooser chooses the nodes of a fault.
type chooser struct {
	name   string
	choose func(ctx context.Context, r *rig.Rig, rng *rand.Rand) []int
}

var (
	one = chooser{"one", func(_ context.Context, r *rig.Rig, rng *rand.Rand) []int {
		return []int{rng.IntN(r.Size())}
	}}
	leader = chooser{"leader", func(ctx context.Context, r *rig.Rig, rng *rand.Rand) []int {
		if i := r.Leader(ctx); i >= 0 {
			return []int{i}
		}
		return []int{rng.IntN(r.Size())}
	}}
	// exposed is one that others that lose data leave: the one that has, if any has.
	exposed = chooser{"one", func(_ context.Context, r *rig.Rig, rng *rand.Rand) []int {
		if i := r.AtRisk(); i >= 0 {
			return []int{i}
		}
		return []int{rng.IntN(r.Size())}
	}}
	majority = chooser{"majority", func(_ context.Context, r *rig.Rig, rng *rand.Rand) []int {
		return rng.Perm(r.Size())[:r.Size()/2+1]
	}}
	all = chooser{"all", func(_ context.Context, r *rig.Rig, rng *rand.Rand) []int {
		return rng.Perm(r.Size())
	}}
)

// kill ends processes as kill -9 does, and starts them again.
func kill(who chooser) Fault {
	return Fault{Name: "kill-" + who.name, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		nodes := slices.DeleteFunc(who.choose(ctx, r, rng), func(i int) bool { return !r.Running(i) })
		if len(nodes) == 0 {
			return nothing("no node runs that can be killed")
		}
		if err := killAll(r, nodes); err != nil {
			return Injury{}, err
		}
		return Injury{What: fmt.Sprintf("kill -9 of %s", names(nodes)), Heal: func(context.Context) error { return startAgain(r, nodes) }}, nil
	}}
}

// stop ends processes gracefully.
func stop(who chooser) Fault {
	return Fault{Name: "stop-" + who.name, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		nodes := who.choose(ctx, r, rng)
		stopping, cancel := context.WithTimeout(ctx, healTime)
		defer cancel()
		var stopped []int
		for _, i := range nodes {
			if !r.Running(i) || r.Stuck(i) {
				continue // another fault has it
			}
			if err := r.Process(i).Stop(stopping); err != nil {
				return Injury{}, err
			}
			if err := r.Explain(i); err != nil {
				return Injury{}, err
			}
			stopped = append(stopped, i)
		}
		if len(stopped) == 0 {
			return nothing("no node runs that can be stopped")
		}
		nodes = stopped
		return Injury{What: fmt.Sprintf("graceful stop of %s", names(nodes)), Heal: func(context.Context) error { return startAgain(r, nodes) }}, nil
	}}
}

// rolling stops and starts every node, one after the other.
func rolling() Fault {
	return Fault{Name: "rolling-restart", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		order, stopped := rng.Perm(r.Size()), 0
		heal := func(ctx context.Context) error {
			for _, i := range order {
				if !r.Running(i) || r.Stuck(i) {
					continue // another fault has it
				}
				if err := r.Process(i).Stop(ctx); err != nil {
					return err
				}
				if err := r.Explain(i); err != nil {
					return err
				}
				stopped++
				if err := startAgain(r, []int{i}); err != nil {
					return err
				}
			}
			return nil
		}
		proof := func() error {
			if stopped == 0 {
				return errors.New("no node ran that could be stopped")
			}
			return nil
		}
		return Injury{What: "every node is stopped and started again", Heal: heal, Proof: proof}, nil
	}}
}

// pause stops processes with SIGSTOP.
func pause(who chooser) Fault {
	return Fault{Name: "pause-" + who.name, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		var paused []int
		resume := func(context.Context) error {
			var errs []error
			for _, i := range paused {
				errs = append(errs, r.Resume(i))
			}
			return errors.Join(errs...)
		}
		for _, i := range who.choose(ctx, r, rng) {
			if !r.Running(i) {
				continue
			}
			if err := r.Pause(i); err != nil {
				return Injury{}, errors.Join(err, resume(ctx))
			}
			paused = append(paused, i)
		}
		if len(paused) == 0 {
			return nothing("no node runs that can be paused")
		}
		return Injury{What: fmt.Sprintf("SIGSTOP of %s", names(paused)), Heal: resume}, nil
	}}
}

// starve lets a process run for a fifth of the time.
func starve(who chooser) Fault {
	const cycle, share = 50 * time.Millisecond, 10 * time.Millisecond
	return Fault{Name: "starve-" + who.name, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		i := who.choose(ctx, r, rng)[0]
		over, done := make(chan struct{}), make(chan error, 1)
		cycles := 0
		go func() {
			for {
				select {
				case <-over:
					done <- nil
					return
				case <-time.After(share):
				}
				if !r.Running(i) { // another fault has it
					continue
				}
				err := r.Pause(i)
				time.Sleep(cycle - share)
				if err = errors.Join(err, r.Resume(i)); err != nil && r.Running(i) {
					done <- err
					return
				}
				cycles++
			}
		}()
		heal := func(context.Context) error {
			close(over)
			return <-done
		}
		proof := func() error {
			if cycles == 0 {
				return errors.New("it was never stopped")
			}
			return nil
		}
		return Injury{What: fmt.Sprintf("%s runs for a fifth of the time", names([]int{i})), Heal: heal, Proof: proof}, nil
	}}
}

func killAll(r *rig.Rig, nodes []int) error {
	for _, i := range nodes {
		if err := r.Kill(i); err != nil {
			return err
		}
	}
	return nil
}

// startAgain starts nodes that do not run. They are ready when they can be.
func startAgain(r *rig.Rig, nodes []int) error {
	for _, i := range nodes {
		if r.Running(i) {
			continue
		}
		if err := r.Start(i); err != nil {
			return err
		}
	}
	return nil
}

func names(nodes []int) string {
	if len(nodes) == 0 {
		return "no node"
	}
	list := make([]string, len(nodes))
	for k, i := range nodes {
		list[k] = fmt.Sprintf("n%d", i+1)
	}
	return strings.Join(list, ", ")
}
