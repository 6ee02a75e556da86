// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// passEvery is how often all agents are looked at for versions that
	// retention does not keep any more.
	passEvery = time.Minute
	// scanAgents is how many of them are looked at in one view.
	scanAgents = 100
	// maxGroup is the most agents that are pruned in one entry, and agentCost
	// what one costs, in numbers.
	maxGroup  = 32
	agentCost = 4
)

// pass is one look at all agents. The zero value is none.
type pass struct {
	started time.Time
	running bool
	// stamp is that of the retention policies by which the pass goes.
	stamp uint64
	// last is the agent that it has come to, due what it found and has not
	// removed yet.
	last hawser.AgentID
	due  []fsm.Prunable
	// ending is set when no agents come after last.
	ending bool
	pruned uint64
}

// prune does a step of a pass: it looks for more, or removes something.
func (j *Janitor) prune(ctx context.Context) bool {
	if len(j.pass.due) == 0 {
		start := time.Now()
		return j.scan() && rest(ctx, shareOfTime*time.Since(start))
	}
	group := j.pass.group(j.pace.numbers)
	commands := make([]fsm.Command, len(group))
	for i := range group {
		commands[i] = &group[i]
	}
	results, _ := j.submitAll(ctx, commands)
	ok := true
	for _, res := range results {
		ok = ok && (res.Err == nil || errors.Is(res.Err, hawser.ErrNotFound)) // of a deleted agent nothing is due
		j.pass.pruned += res.Pruned
		j.counts.pruned.Add(int64(res.Pruned))
	}
	if !ok { // a policy has changed, or this node does not lead any more
		j.pass = pass{}
	}
	return ok && ctx.Err() == nil
}

// scan looks at the next agents, and ends or begins a pass. It reports whether
// there is more to do.
func (j *Janitor) scan() bool {
	p := &j.pass
	err := j.view(func(v View) error {
		stamp := v.RetentionStamp()
		if p.running && p.ending {
			if p.pruned > 0 {
				j.cfg.Logger.Info("retention removed versions", "versions", p.pruned, "duration", time.Since(p.started).Round(time.Millisecond))
			}
			*p = pass{started: p.started, stamp: p.stamp}
		}
		if !p.running || p.stamp != stamp {
			if stamp == p.stamp && time.Since(p.started) < passEvery {
				return errNothing
			}
			*p = pass{started: time.Now(), running: true, stamp: stamp}
		}
		items, last, more, err := v.PruneScan(p.last, scanAgents, j.cfg.Now())
		if err != nil {
			return err
		}
		p.due, p.last, p.ending = items, last, !more
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		j.cfg.Logger.Warn("looking for versions to remove failed", "error", err)
	}
	if err != nil {
		return false
	}
	for _, item := range p.due {
		j.noteDeadWeight(item.Agent)
	}
	return true
}

// errNothing ends a look that has nothing to do.
var errNothing = errors.New("nothing to do")

// group takes what is due off the pass for one entry that is worth about so
// many numbers.
func (p *pass) group(numbers int) (group []fsm.Prune) {
	for left := numbers; left > 0 && len(p.due) > 0 && len(group) < maxGroup; left -= agentCost {
		item := &p.due[0]
		c := fsm.Prune{Agent: item.Agent, Stamp: p.stamp}
		for left > 0 && len(item.Ranges) > 0 {
			r := &item.Ranges[0]
			n := min(r.To-r.From+1, uint64(left))
			c.Ranges = append(c.Ranges, fsm.NumberRange{From: r.From, To: r.From + n - 1})
			left -= int(n)
			if r.From += n; r.From > r.To {
				item.Ranges = item.Ranges[1:]
			}
		}
		if len(item.Ranges) == 0 {
			p.due = p.due[1:]
		}
		group = append(group, c)
	}
	return group
}
