// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"context"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// passEvery is the time from the end of one pass over everything to the
	// next, firstPass that from the start to the first.
	passEvery = 24 * time.Hour
	firstPass = 10 * time.Minute
	// passShare is how long a pass rests, in times that its work took: three
	// hundredths of a core.
	passShare = 30
	// passVersions is how many versions it looks at in one view, walkAgents how
	// many agents are looked at in one.
	passVersions = 64
	walkAgents   = 500
	// recentTime is how far back a look for new versions goes, of the cluster's
	// time: what is older was noted by another run, or by other nodes.
	recentTime = 3 * time.Minute
)

// walk is a walk over all agents.
type walk struct {
	running bool
	ended   time.Time
	// after is the agent that it has come to, number where it goes on with the
	// one after that, 0 for its first version.
	after  hawser.AgentID
	number uint64
}

func (w *walk) begin()            { *w = walk{running: true, ended: w.ended} }
func (w *walk) end(now time.Time) { *w = walk{ended: now} }

// lookForRecent notes the heads of agents that saved shortly before. It is
// for what was not noted: at the start, and when too many saved at once.
func (s *Scrubber) lookForRecent() {
	w := &s.recent
	room := s.agenda.room()
	if room == 0 {
		return
	}
	now := time.Now()
	err := s.view(func(v View) error {
		since := v.Info().Time.Add(-recentTime)
		ids, err := v.AgentsAfter(w.after, min(walkAgents, room))
		for _, id := range ids {
			a, err := v.Agent(id)
			if err != nil {
				return err
			}
			if a.Version != nil && a.Version.CreatedAt.After(since) {
				s.agenda.note(id, a.Version.Number, now)
			}
			w.after = id
		}
		if err == nil && len(ids) == 0 {
			w.end(now)
		}
		return err
	})
	if err != nil {
		w.end(now)
		s.failed("look for new versions", err)
	}
}

// passOn does a step of the pass over everything: it verifies some versions of
// one agent.
func (s *Scrubber) passOn(ctx context.Context, now time.Time) (done work) {
	w := &s.pass
	if !w.running {
		w.begin()
	}
	err := s.view(func(v View) error {
		ids, err := v.AgentsAfter(w.after, 1)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			w.end(now)
			s.cfg.Logger.Info("all stored versions were verified", "suspects", s.suspects.len())
			return nil
		}
		seen, last := 0, uint64(0)
		next, waited, err := s.cfg.Gate.Verify(ctx, v, ids[0], w.number, 0, func(found fsm.Verdict) bool {
			done.bytes += found.Bytes
			s.found(found)
			seen, last = seen+1, found.Version.Number
			return seen < passVersions
		})
		done.waited = waited
		if err != nil {
			return err
		}
		switch {
		case next != 0:
			w.number = next
		case seen == passVersions:
			w.number = last + 1
		default:
			w.after, w.number = ids[0], 0
		}
		return nil
	})
	if err != nil {
		w.end(now)
		s.failed("verify all versions", err)
	}
	return done
}
