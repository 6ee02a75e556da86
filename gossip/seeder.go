// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// seeder joins the seeds that are not alive members, again and again: without
// it a partition that outlasts memberlist's memory of the dead stays split.
type seeder struct {
	list  *memberlist.Memberlist
	table *table
	seeds func() []string
	every time.Duration
	log   *slog.Logger
	// own are the addresses of this node.
	own []string
}

// run joins at once and then at intervals until ctx ends.
func (s *seeder) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.join(ctx)
		pause := s.every
		if len(s.alive()) <= 1 {
			pause = min(pause, rejoinAlone)
		}
		timer.Reset(pause)
	}
}

// alive returns the addresses of the alive members, the own one included.
func (s *seeder) alive() []string {
	var addresses []string
	for _, m := range s.table.list() {
		if m.Liveness == Alive {
			addresses = append(addresses, m.GossipAddress)
		}
	}
	return addresses
}

// join contacts each seed that is not an alive member.
func (s *seeder) join(ctx context.Context) {
	for _, seed := range s.seeds() {
		if ctx.Err() != nil {
			return
		}
		resolved, err := s.resolve(ctx, seed)
		if err != nil {
			s.log.DebugContext(ctx, "gossip seed cannot be resolved", "seed", seed, "error", err)
			continue
		}
		if slices.Contains(s.own, resolved) || slices.Contains(s.alive(), resolved) {
			continue
		}
		if _, err := s.list.Join([]string{resolved}); err != nil {
			s.log.DebugContext(ctx, "gossip seed does not answer", "seed", seed, "error", err)
		}
	}
}

// resolve returns the seed as memberlist prints addresses.
func (s *seeder) resolve(ctx context.Context, seed string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	addr, err := endpoint(ctx, "gossip seed", seed)
	if err != nil {
		return "", err
	}
	return addr.String(), nil
}
