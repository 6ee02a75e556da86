// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"

	"github.com/hawserdb/hawser/jepsen/crew"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// anyCrew returns a process of clients that another fault has not killed.
func anyCrew(r *rig.Rig, rng *rand.Rand) (*crew.Crew, error) {
	for _, i := range rng.Perm(len(r.Crews)) {
		if r.Crews[i].Running() {
			return r.Crews[i], nil
		}
	}
	return nil, errors.New("no client runs in a process of its own")
}

func noClients(err error) Injury {
	return Injury{What: "nothing", Heal: func(context.Context) error { return nil }, Proof: func() error { return err }}
}

// killClient ends a process of clients as kill -9 does, and starts another one.
func killClient() Fault {
	return Fault{Name: "kill-client", Clients: true, Inject: func(_ context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		c, err := anyCrew(r, rng)
		if err != nil {
			return noClients(err), nil
		}
		process := c.Process()
		if err := c.Kill(); err != nil {
			return Injury{}, err
		}
		proof := func() error {
			if process == c.Process() {
				return errors.New("no other process has come after it")
			}
			return nil
		}
		return Injury{What: fmt.Sprintf("kill -9 of the clients %s", c.Name), Heal: func(context.Context) error { return c.Start() }, Proof: proof}, nil
	}}
}

// pauseClient stops a process of clients with SIGSTOP. Freeze has seen that it
// stands still.
func pauseClient() Fault {
	return Fault{Name: "pause-client", Clients: true, Inject: func(_ context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		c, err := anyCrew(r, rng)
		if err != nil {
			return noClients(err), nil
		}
		process := c.Process()
		if err := rig.Freeze(process); err != nil {
			return Injury{}, err
		}
		return Injury{
			What: fmt.Sprintf("SIGSTOP of the clients %s", c.Name),
			Heal: func(context.Context) error { return process.Signal(syscall.SIGCONT) },
		}, nil
	}}
}
