// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/hawserdb/hawser/jepsen/faultfs"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// power cuts the power of nodes, all at once: the processes are killed, and their
// disks lose what was not synced, or some of it.
func power(who chooser) Fault {
	return Fault{Name: "power-" + who.name, Disks: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		nodes := who.choose(ctx, r, rng)
		if !r.Risk(nodes...) {
			return nothing("another node has lost data, or may")
		}
		if err := killAll(r, nodes); err != nil {
			return Injury{}, err
		}
		lost := 0
		for _, i := range nodes {
			n, err := r.Disks[i].PowerFail(rng)
			if err != nil {
				return Injury{}, err
			}
			lost += n
		}
		what := fmt.Sprintf("power failure of %s: %d sectors and entries that were not synced are lost", names(nodes), lost)
		heal := func(context.Context) error {
			r.Safe(nodes...)
			return startAgain(r, nodes)
		}
		return Injury{What: what, Heal: heal}, nil
	}}
}

// stopsWithin is how soon a node must stop itself after a sync that failed.
const stopsWithin = 5 * time.Second

// syncError lets one sync of a node fail, or all. A node must stop itself: what a
// later sync says of the same data is not true any more (Rebello and others, "Can
// Applications Recover from fsync Failures?", ATC 2020).
func syncError(name string, times int, who chooser) Fault {
	return Fault{Name: name + "-" + who.name, Disks: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		i := who.choose(ctx, r, rng)[0]
		d, before, p := r.Disks[i], r.Disks[i].Counts().SyncErrors, r.Process(i)
		d.Change(func(f *faultfs.Faults) { f.SyncError, f.SyncErrors = syscall.EIO, times })
		heal := func(ctx context.Context) error {
			failed := d.Counts().SyncErrors > before
			// Another fault may have ended the process, or started the next one.
			for end := time.Now().Add(stopsWithin); failed && r.Process(i) == p && r.Running(i) && !r.Stuck(i); {
				if time.Now().After(end) {
					return &rig.ShownError{What: names([]int{i}) + " goes on although a sync failed"}
				}
				sleep(ctx, 10*time.Millisecond)
			}
			d.Change(func(f *faultfs.Faults) { f.SyncErrors = 0 })
			return startAgain(r, []int{i})
		}
		proof := func() error {
			if d.Counts().SyncErrors == before {
				return errors.New("nothing was synced")
			}
			return nil
		}
		return Injury{What: fmt.Sprintf("syncs of %s fail: %d (-1: all)", names([]int{i}), times), Heal: heal, Proof: proof}, nil
	}}
}

// disk is a fault of disks that the node may survive.
func disk(name, what string, set func(f *faultfs.Faults, on bool), seen func(faultfs.Counts) uint64, who chooser) Fault {
	return Fault{Name: name + "-" + who.name, Disks: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		nodes := who.choose(ctx, r, rng)
		before := make([]uint64, len(nodes))
		for k, i := range nodes {
			before[k] = seen(r.Disks[i].Counts())
			r.Disks[i].Change(func(f *faultfs.Faults) { set(f, true) })
		}
		heal := func(context.Context) error {
			for _, i := range nodes {
				r.Disks[i].Change(func(f *faultfs.Faults) { set(f, false) })
			}
			return startAgain(r, nodes) // one that has stopped itself, as it may
		}
		proof := func() error {
			for k, i := range nodes {
				if seen(r.Disks[i].Counts()) > before[k] {
					return nil
				}
			}
			return errors.New("the disks were not used")
		}
		return Injury{What: fmt.Sprintf(what, names(nodes)), Heal: heal, Proof: proof}, nil
	}}
}

func slowDisk(who chooser) Fault {
	return disk("slow-disk", "each sync of %s takes 400 ms", func(f *faultfs.Faults, on bool) {
		f.SyncDelay = map[bool]time.Duration{true: 400 * time.Millisecond}[on]
	},
		func(c faultfs.Counts) uint64 { return c.SlowSyncs }, who)
}

func hungDisk(who chooser) Fault {
	return disk("hung-disk", "no sync of %s ends", func(f *faultfs.Faults, on bool) { f.SyncHangs = on },
		func(c faultfs.Counts) uint64 { return c.HungSyncs }, who)
}

func fullDisk(who chooser) Fault {
	return disk("full-disk", "the disk of %s is full", func(f *faultfs.Faults, on bool) { f.Full = on },
		func(c faultfs.Counts) uint64 { return c.Refused }, who)
}
