// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// transfers gives the leadership from one node to another, again and again.
func transfers() Fault {
	return Fault{Name: "transfers", Inject: func(ctx context.Context, r *rig.Rig, _ *rand.Rand) (Injury, error) {
		conn, err := client.Dial(client.Config{Endpoints: r.Endpoints(), RequestTimeout: 2 * time.Second})
		if err != nil {
			return Injury{}, err
		}
		over, done := make(chan struct{}), make(chan struct{})
		made := 0
		go func() {
			defer close(done)
			for !waits(over, 300*time.Millisecond) {
				calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
				if err := conn.Cluster().TransferLeadership(calling, ""); err == nil {
					made++
				}
				cancel()
			}
		}()
		heal := func(context.Context) error {
			close(over)
			<-done
			return conn.Close()
		}
		proof := func() error {
			if made == 0 {
				return errors.New("no transfer succeeded")
			}
			return nil
		}
		return Injury{What: "the leadership is handed on every 300 ms", Heal: heal, Proof: proof}, nil
	}}
}

// stepPause is the time between two attempts of a step.
const stepPause = 100 * time.Millisecond

// replace puts a new node in the place of one whose disk is lost. The old one is
// removed when the new one votes.
func replace() Fault {
	return Fault{Name: "replace-node", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		i := exposed.choose(ctx, r, rng)[0]
		if !r.Risk(i) {
			return nothing("other nodes have lost data, or may")
		}
		old := r.ID(i)
		if err := r.Renew(i); err != nil {
			return Injury{}, err
		}
		var all steps = func(ctx context.Context, cluster *client.Cluster) {
			if id := joined(ctx, r, cluster, i); id != "" && repeat(ctx, func() error { return cluster.Promote(ctx, id) }) {
				repeat(ctx, func() error { return cluster.Remove(ctx, old, false) })
			}
		}
		finish := func(ctx context.Context) error {
			defer r.Safe(i)
			return r.Whole(ctx)
		}
		proof := func() error {
			if r.ID(i) == old {
				return fmt.Errorf("the node is still %s", old)
			}
			return nil
		}
		return Injury{What: old + " and its disk are replaced", Heal: all.begin(ctx, r), Finish: finish, Proof: proof}, nil
	}}
}

// addRemove lets a further node join, makes it a voter, and removes it, or the
// leader: a new node takes its place then.
func addRemove() Fault {
	return Fault{Name: "add-remove", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		theLeader, pause := rng.IntN(3) == 0, between(rng, time.Millisecond, time.Second)
		if err := r.Renew(r.Spare()); err != nil {
			return Injury{}, err
		}
		what, leads := names([]int{r.Spare()})+" joins, votes and is removed", -1
		if theLeader {
			if leads = r.Leader(ctx); leads >= 0 && leads < r.Size() && r.Risk(leads) {
				what = fmt.Sprintf("%s joins and votes, %s is removed", names([]int{r.Spare()}), r.ID(leads))
			} else {
				leads = -1
			}
		}
		voted, done := false, false
		var all steps = func(ctx context.Context, cluster *client.Cluster) {
			id := joined(ctx, r, cluster, r.Spare())
			if voted = id != "" && repeat(ctx, func() error { return cluster.Promote(ctx, id) }); !voted || !sleep(ctx, pause) {
				return
			}
			goes, gone := r.Spare(), id
			if leads >= 0 {
				goes, gone = leads, r.ID(leads)
			}
			r.Removing(goes)
			done = repeat(ctx, func() error { return cluster.Remove(ctx, gone, false) })
		}
		stop := all.begin(ctx, r)
		finish := func(ctx context.Context) error {
			if leads >= 0 {
				defer r.Safe(leads)
			}
			if !done { // the other faults were in the way
				later, cancel := context.WithTimeout(ctx, finishTime/3)
				defer cancel()
				if err := all.take(later, r); err != nil {
					return err
				}
			}
			return r.Whole(ctx)
		}
		proof := func() error {
			if !voted {
				return errors.New("it did not become a voter in time")
			}
			return nil
		}
		return Injury{What: what, Heal: stop, Finish: finish, Proof: proof}, nil
	}}
}

// steps change the members of a cluster, until ctx ends.
type steps func(ctx context.Context, cluster *client.Cluster)

// take takes them with a connection of their own.
func (s steps) take(ctx context.Context, r *rig.Rig) error {
	conn, err := client.Dial(client.Config{Endpoints: r.Endpoints(), RequestTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	s(ctx, conn.Cluster())
	return conn.Close()
}

// begin takes them while there are other faults, until stop is called.
func (s steps) begin(ctx context.Context, r *rig.Rig) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.take(ctx, r) }()
	return func(context.Context) error {
		cancel()
		return <-done
	}
}

// repeat repeats a step until it succeeds, and reports whether it did before ctx
// ended. Others may be in the way meanwhile.
func repeat(ctx context.Context, step func() error) bool {
	for step() != nil {
		if !sleep(ctx, stepPause) {
			return false
		}
	}
	return true
}

// joined waits until the new node of a place is a member, and returns its id; ""
// if ctx ended before.
func joined(ctx context.Context, r *rig.Rig, cluster *client.Cluster, i int) (id string) {
	repeat(ctx, func() error {
		s, err := r.Status(ctx, i)
		if err != nil {
			return err
		}
		members, err := cluster.Members(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(members, func(m client.Member) bool { return m.ID == s.Self.ID }) {
			return fmt.Errorf("%s is no member yet", s.Self.ID)
		}
		id = s.Self.ID
		return nil
	})
	return id
}
