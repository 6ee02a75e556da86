// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// entryOverhead is what an entry takes beside its commands, at most.
const entryOverhead = 64

// maxIdle is how long the loop sleeps when nothing has a deadline.
const maxIdle = time.Minute

// run is the loop: the only one that hands entries to raft.
func (p *Proposer) run(ctx context.Context) {
	timer := time.NewTimer(maxIdle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		p.expire(time.Now())
		p.startTerm(ctx)
		for p.proposeNext() {
		}
		timer.Reset(p.untilDeadline(time.Now()))
	}
}

// proposeNext makes an entry of what waits and hands it over. It returns false
// when nothing waits or enough is under way.
func (p *Proposer) proposeNext() bool {
	id, size, ok := p.register(time.Now())
	if !ok {
		return false
	}
	// Raft keeps the entry, so its memory is never used again.
	entry := fsm.AppendBatch(make([]byte, 0, size+entryOverhead), id, p.cfg.Clock.Stamp(), p.encoded)
	clear(p.encoded)
	if !p.isRegistered(id) {
		return true // leadership was lost meanwhile; reported unknown
	}
	if err := p.cfg.Raft.Propose(entry); err != nil {
		p.refuse(id, err)
	}
	return true
}

// register moves calls from the queue to a new batch, and their encoded
// commands, size bytes in all, to p.encoded.
func (p *Proposer) register(now time.Time) (id fsm.BatchID, size int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lane := p.nextLaneLocked()
	if lane == nil {
		return id, 0, false
	}
	if ready := p.ready.Load(); p.cfg.Raft.Term() != ready || !p.cfg.Raft.IsLeader() {
		// OnLeadership is about to come.
		fail(p.drainLocked(), notLeader())
		p.settleLocked()
		return id, 0, false
	}
	b := p.batches.Get().(*batch) // the pool holds nothing else
	b.bulk = lane == &p.mu.bulk
	p.encoded = p.encoded[:0]
	for c := lane.first; c != nil; c = lane.first {
		if size > 0 && (b.bulk || size+len(c.encoded) > p.cfg.MaxBatchBytes) {
			break
		}
		lane.remove(c)
		b.calls = append(b.calls, c)
		p.encoded = append(p.encoded, c.encoded)
		size += len(c.encoded)
	}
	b.deadline = now.Add(p.cfg.Timeout)
	id = p.nextIDLocked()
	p.mu.registered[id] = b
	if b.bulk {
		p.mu.bulkOut++
	}
	p.mu.stats.Batches++
	p.mu.stats.Commands += uint64(len(b.calls))
	p.mu.stats.EntryBytes += uint64(size)
	return id, size, true
}

// nextLaneLocked returns the lane that the next entry is made of, nil when
// nothing waits or enough is under way.
func (p *Proposer) nextLaneLocked() *queue {
	normalOut := len(p.mu.registered) - p.mu.bulkOut
	if p.mu.normal.first != nil && normalOut < p.cfg.MaxInFlight {
		return &p.mu.normal
	}
	most := p.cfg.MaxInFlight
	if p.mu.normal.first != nil {
		most = 1
	}
	if p.mu.bulk.first != nil && p.mu.bulkOut < most {
		return &p.mu.bulk
	}
	return nil
}

func (p *Proposer) drainLocked() []*call {
	return append(p.mu.normal.drain(), p.mu.bulk.drain()...)
}

func (p *Proposer) nextIDLocked() (id fsm.BatchID) {
	p.mu.lastID++
	copy(id[:], p.instance[:])
	binary.BigEndian.PutUint64(id[8:], p.mu.lastID)
	return id
}

func (p *Proposer) isRegistered(id fsm.BatchID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.registered[id] != nil
}

// takeLocked takes a batch out; it then belongs to the caller. Nil if it is
// not registered (any more).
func (p *Proposer) takeLocked(id fsm.BatchID) *batch {
	b := p.mu.registered[id]
	if b != nil {
		delete(p.mu.registered, id)
		if b.bulk {
			p.mu.bulkOut--
		}
		p.settleLocked()
	}
	return b
}

// refuse ends a batch that raft did not take.
func (p *Proposer) refuse(id fsm.BatchID, err error) {
	p.mu.Lock()
	b := p.takeLocked(id)
	p.mu.Unlock()
	if b != nil {
		fail(b.calls, refused(err, p.cfg.Raft.IsLeader()))
	}
}

// expire ends batches that were not applied in time.
func (p *Proposer) expire(now time.Time) {
	var late []*call
	p.mu.Lock()
	for id, b := range p.mu.registered {
		if !now.Before(b.deadline) {
			p.takeLocked(id)
			late = append(late, b.calls...)
		}
	}
	p.mu.stats.Unknown += uint64(len(late))
	p.mu.Unlock()
	if len(late) > 0 {
		p.cfg.Logger.Warn("commands were not applied in time", "commands", len(late), "timeout", p.cfg.Timeout)
		fail(late, unknown("not applied in time; it may be later"))
	}
}

// untilDeadline returns how long the loop may sleep.
func (p *Proposer) untilDeadline(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := now.Add(maxIdle)
	for _, b := range p.mu.registered {
		if b.deadline.Before(next) {
			next = b.deadline
		}
	}
	if p.startingLocked() && p.mu.start.due.Before(next) {
		next = p.mu.start.due
	}
	return max(next.Sub(now), 0)
}

// OnApplied takes what the own machine has applied, in order, and ends the
// calls that wait for it. It does not block and keeps nothing of applied.
func (p *Proposer) OnApplied(applied []fsm.Applied) {
	for i := range applied {
		a := &applied[i]
		p.mu.Lock()
		b := p.takeLocked(a.ID)
		started := p.startedLocked(a)
		if b != nil && p.nextLaneLocked() != nil {
			p.wakeLoop()
		}
		p.mu.Unlock()
		if b != nil {
			p.finish(b, a.Results)
		}
		if started {
			p.cfg.Logger.Info("ready to lead", "term", a.Term, "index", a.Index)
		}
	}
}

// finish hands the results to those who wait for them.
func (p *Proposer) finish(b *batch, results []fsm.Result) {
	if len(results) != len(b.calls) {
		fail(b.calls, unknown("the state machine skipped the command"))
		return
	}
	for i, c := range b.calls {
		c.result = results[i]
		c.end()
	}
	clear(b.calls)
	b.calls = b.calls[:0]
	p.batches.Put(b)
}
