// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

const (
	// sampleTimeout bounds one attempt to learn the voters' clocks.
	sampleTimeout = 500 * time.Millisecond
	// maxSamples bounds the attempts, unless machine time has never begun.
	maxSamples = 6
	// startPause is the pause after a failed attempt to start.
	startPause = 50 * time.Millisecond
	// startTimeout is how long a LeaderStart may take before it is proposed
	// again: raft drops entries silently while it transfers leadership.
	startTimeout = time.Second
)

// start is how far a leader is with the first entry of its term.
type start struct {
	id      fsm.BatchID // of every attempt in this term
	due     time.Time   // of the next attempt
	samples int         // failed attempts to learn the voters' clocks
}

// ReadyTerm returns the term in which this node leads and whose LeaderStart its
// own machine has applied, else 0.
func (p *Proposer) ReadyTerm() uint64 { return p.ready.Load() }

// OnLeadership takes a change of leadership. It must be called in order. It
// does not block.
func (p *Proposer) OnLeadership(l Leadership) {
	p.mu.Lock()
	if p.mu.closed || l.Leader && l.Term == p.mu.term {
		p.mu.Unlock()
		return
	}
	queued, handed := p.stepDownLocked()
	if l.Leader {
		p.mu.term = l.Term
		p.mu.start = start{id: p.nextIDLocked(), due: time.Now()}
	}
	p.wakeLoop()
	p.mu.Unlock()
	fail(queued, notLeader())
	fail(handed, unknown("leadership changed before the command was applied"))
}

// stepDownLocked ends the term and returns the calls that the caller must
// fail: those that wait and those of registered batches.
func (p *Proposer) stepDownLocked() (queued, handed []*call) {
	p.ready.Store(0)
	p.mu.term = 0
	queued = p.drainLocked()
	for id, b := range p.mu.registered {
		delete(p.mu.registered, id)
		handed = append(handed, b.calls...)
	}
	p.mu.bulkOut = 0
	p.mu.stats.Unknown += uint64(len(handed))
	p.settleLocked()
	return queued, handed
}

func (p *Proposer) startingLocked() bool { return p.mu.term != 0 && p.ready.Load() == 0 }

// startTerm proposes the first entry of a term when that is due.
func (p *Proposer) startTerm(ctx context.Context) {
	p.mu.Lock()
	term, begin := p.mu.term, p.mu.start
	due := p.startingLocked() && !time.Now().Before(begin.due)
	p.mu.Unlock()
	if !due || !p.clocksKnown(ctx, term, begin.samples) {
		return
	}
	if p.cfg.Raft.Term() != term {
		p.postpone(term, startPause, begin.samples) // OnLeadership is about to come
		return
	}
	next := startTimeout
	if err := p.cfg.Raft.Propose(p.firstEntry(term, begin.id)); err != nil {
		p.cfg.Logger.Debug("raft did not take the first entry of a term", "term", term, "error", err)
		next = startPause
	}
	p.postpone(term, next, begin.samples)
}

// firstEntry returns a batch with the term's LeaderStart, under whose stamp
// machine time may step forward.
func (p *Proposer) firstEntry(term uint64, id fsm.BatchID) []byte {
	command := fsm.AppendCommand(nil, &fsm.LeaderStart{
		Term: term, Node: p.cfg.Node, ClusterID: p.cfg.ClusterID(), Generation: p.cfg.Generation(),
	})
	stamp := p.cfg.Clock.Reset(p.cfg.Machine.Info().Time)
	return fsm.AppendBatch(make([]byte, 0, len(command)+entryOverhead), id, stamp, [][]byte{command})
}

// clocksKnown asks the voters for their clocks and reports whether to go on.
// After a few failures it goes on without, except where machine time would
// begin at nothing.
func (p *Proposer) clocksKnown(ctx context.Context, term uint64, failed int) bool {
	if p.cfg.Sample == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	err := p.cfg.Sample(ctx, term)
	if err == nil {
		return true
	}
	failed++
	p.cfg.Logger.Warn("the voters do not tell their clocks", "term", term, "attempt", failed, "error", err)
	if failed >= maxSamples && unixNano(p.cfg.Machine.Info().Time) > 0 {
		return true
	}
	p.postpone(term, startPause, failed)
	return false
}

func (p *Proposer) postpone(term uint64, by time.Duration, samples int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.term == term {
		p.mu.start.due, p.mu.start.samples = time.Now().Add(by), samples
	}
}

// startedLocked sets the ready term if a is the LeaderStart that this process
// proposed for the term in which it leads.
func (p *Proposer) startedLocked(a *fsm.Applied) bool {
	if !p.startingLocked() || a.ID != p.mu.start.id || a.Term != p.mu.term {
		return false
	}
	if p.cfg.Raft.Term() != p.mu.term || !p.cfg.Raft.IsLeader() || len(a.Results) != 1 {
		return false
	}
	if err := a.Results[0].Err; err != nil {
		p.cfg.Logger.Error("the state machine refuses this leader", "term", a.Term, "error", err)
		return false
	}
	p.cfg.Clock.Raise(p.cfg.Machine.Info().Time)
	p.ready.Store(p.mu.term)
	return true
}

// Pause refuses further commands with CodeUnavailable and waits until nothing
// is queued or under way, for a transfer of leadership. If ctx ends first it
// returns CodeDeadline or CodeCanceled. In either case commands are refused
// until Resume.
func (p *Proposer) Pause(ctx context.Context) error {
	p.mu.Lock()
	p.mu.pauses++
	if p.mu.idle == nil {
		p.mu.idle = make(chan struct{})
	}
	idle := p.mu.idle
	p.settleLocked()
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ended(ctx.Err())
	}
}

// Resume ends a Pause. Commands are taken again when each Pause has been ended.
func (p *Proposer) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.pauses--
}

// settleLocked tells who waits in Pause when nothing is left to wait for.
func (p *Proposer) settleLocked() {
	if p.mu.idle != nil && p.mu.normal.count+p.mu.bulk.count == 0 && len(p.mu.registered) == 0 {
		close(p.mu.idle)
		p.mu.idle = nil
	}
}
