// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// control reports leadership and configuration and restarts raft, all on this
// one goroutine.
func (r *Replica) control() {
	var seen reported
	for {
		select {
		case <-r.closing:
			r.report(&seen, Leadership{})
			return
		case why := <-r.restarts:
			r.report(&seen, Leadership{})
			r.restart(why)
		case <-r.wake:
			r.report(&seen, r.leadership())
		}
	}
}

// reported is what the replica's owner was told last.
type reported struct {
	leadership    Leadership
	configuration uint64
}

// leadership samples raft. Leader and term belong together: raft leaves the
// state Leader before it changes its term.
func (r *Replica) leadership() Leadership {
	instance := r.raft.Load()
	for {
		term := instance.CurrentTerm()
		leader := r.leads()
		if instance.CurrentTerm() == term {
			return Leadership{Term: term, Leader: leader}
		}
	}
}

// report tells what changed. A leadership that was lost and won again between
// two samples is told as lost and won: its term is another.
func (r *Replica) report(seen *reported, now Leadership) {
	was := seen.leadership
	if now != was && r.cfg.OnLeadership != nil {
		if was.Leader {
			r.cfg.OnLeadership(Leadership{Term: was.Term})
		}
		if now.Leader {
			r.cfg.OnLeadership(now)
		}
	}
	if now.Leader && now.Term != was.Term {
		r.trans.peers.reset()
	}
	seen.leadership = now
	if conf := r.Configuration(); conf.Index != seen.configuration {
		seen.configuration = conf.Index
		if r.cfg.OnConfiguration != nil {
			r.cfg.OnConfiguration(conf)
		}
	}
}

// requestRestart asks for a restart of raft; one that is asked for already
// will do.
func (r *Replica) requestRestart(why string) {
	select {
	case r.restarts <- why:
	default:
	}
}

// restart replaces the instance of raft by a new one on the same stores and
// machine. If the old one does not end the node stops.
func (r *Replica) restart(why string) {
	if r.latch.Err() != nil {
		return
	}
	old := r.raft.Load()
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeouts.Close+r.cfg.Timeouts.RPC)
	defer cancel()
	if err := await(ctx, old.Shutdown()); err != nil {
		_ = r.latch.fail(&halt.Error{Reason: halt.Hung, Where: "raft", Err: fmt.Errorf("restart (%s): raft did not stop: %w", why, err)})
		return
	}
	r.commit.Store(max(r.commit.Load(), old.CommitIndex()))
	if err := r.startRaft(); err != nil {
		_ = r.latch.fail(halt.Wrap(halt.Log, r.cfg.Dir, fmt.Errorf("restart (%s): %w", why, err)))
		return
	}
	r.counters.restarts.Add(1)
}

// leads reports whether raft leads and the replica takes part.
func (r *Replica) leads() bool {
	instance := r.raft.Load()
	return instance != nil && instance.State() == raft.Leader && r.latch.Err() == nil
}
