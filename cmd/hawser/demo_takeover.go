// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// demoTTL is short, so that nobody has to wait long.
const demoTTL = time.Second

// takeOver has a process own the agent, kills it, and lets another instance go
// on.
func (d *demonstration) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoBudget)
	defer cancel()
	active, err := d.startOwner()
	if err != nil {
		return err
	}
	defer func() {
		_ = active.Process.Kill() // killed before, if all went well
		_ = active.Wait()
	}()
	passive, err := client.Dial(client.Config{Endpoints: d.local.Endpoints(), Instance: "passive"})
	if err != nil {
		return err
	}
	defer func() { _ = passive.Close() }()
	agent := passive.Agent(d.agent.ID().Name)
	owned, err := d.await(ctx, func(h hawser.Holding) bool { return len(h.Holders) == 1 })
	if err != nil {
		return err
	}
	var claim *client.Claim
	claimed := make(chan error, 1)
	go func() {
		var err error
		claim, err = agent.Claim(ctx, client.TTL(demoTTL))
		claimed <- err
	}()
	if _, err := d.await(ctx, func(h hawser.Holding) bool { return h.Waiting == 1 }); err != nil {
		return errors.Join(err, join(cancel, claimed))
	}
	say(d.out, "%q owns the agent, %q waits; kill -9 of the owner (process %d)\n", owned.Holders[0].Instance, "passive", active.Process.Pid)
	killed := time.Now()
	if err := active.Process.Kill(); err != nil {
		return errors.Join(err, join(cancel, claimed))
	}
	if err := <-claimed; err != nil {
		return err
	}
	v, err := claim.Save(ctx, []byte("gone on by the passive"))
	if err != nil {
		return err
	}
	say(d.out, "%q had the agent at version %d and saved version %d %s after the kill (time to live %s)\n",
		"passive", claim.Head().Number, v.Number, milliseconds(time.Since(killed)), demoTTL)
	_, err = d.agent.Save(ctx, []byte("too late"), client.Overwrite(), client.WithFence(owned.Holders[0].Token))
	if !errors.Is(err, hawser.ErrFenced) {
		return fmt.Errorf("a save with the fence of the killed owner: %w", errors.Join(errNotFenced, err))
	}
	say(d.out, "a save with the fence of the killed owner was refused\n")
	return claim.Release(ctx)
}

var errNotFenced = errors.New("was not refused as fenced")

func join(cancel func(), claimed <-chan error) error {
	cancel()
	return <-claimed
}

// startOwner starts a process that claims the agent and goes on until it is
// killed.
func (d *demonstration) startOwner() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	name := d.agent.ID().Name
	owner := exec.Command(self, "agent", "run", name, "--instance", "active", "--ttl", demoTTL.String(), "--", self, "watch", "--name", name)
	owner.Env = append(os.Environ(), "HAWSER_ENDPOINTS="+strings.Join(d.local.Endpoints(), ","))
	return owner, owner.Start()
}

// await returns who holds the agent once that is as it should be.
func (d *demonstration) await(ctx context.Context, is func(hawser.Holding) bool) (hawser.Holding, error) {
	for h, err := range d.agent.Observe(ctx) {
		if err != nil || is(h) {
			return h, err
		}
	}
	return hawser.Holding{}, ctx.Err()
}
