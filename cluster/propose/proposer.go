// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// keepBytes is the largest buffer of a command that is kept for the next.
const keepBytes = 64 << 10

// Proposer proposes commands on the leader. See the package comment for its
// rules. Safe for concurrent use.
type Proposer struct {
	cfg      Config
	instance [8]byte // random: the first half of all batch ids
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	calls    sync.Pool // of *call
	batches  sync.Pool // of *batch
	// wake has capacity 1; a full channel means that the loop will look.
	wake chan struct{}
	// ready is the ready term. Written under mu, read without.
	ready atomic.Uint64
	// encoded is the loop's own list of the commands of the entry it makes.
	encoded [][]byte
	// places holds one token for each bulk command that is in Submit.
	places chan struct{}

	mu struct {
		sync.Mutex
		// term in which the node leads by the last OnLeadership, else 0.
		// Invariant: ready is term or 0; the queues are empty while ready is 0.
		term  uint64
		start start
		// normal and bulk are the lanes; see isBulk.
		normal, bulk queue
		// registered are the batches that are not applied, by id: MaxInFlight
		// at most of each lane. bulkOut of them are bulk.
		registered map[fsm.BatchID]*batch
		bulkOut    int
		lastID     uint64
		pauses     int // calls of Pause without their Resume
		closed     bool
		// idle is closed once nothing is queued or registered; nil while
		// nobody waits for that.
		idle  chan struct{}
		stats Stats
	}
}

// Stats counts what a Proposer did since it was made, and what waits now.
type Stats struct {
	// Batches and Commands were handed to raft, EntryBytes long in all.
	Batches, Commands, EntryBytes uint64
	// Unknown is the number of commands whose outcome stayed unknown.
	Unknown uint64
	// Queued commands wait, QueuedBytes in all; InFlight batches are with raft.
	Queued, QueuedBytes, InFlight int
	// Waiting is how long the oldest of those batches has been with raft.
	Waiting time.Duration
}

// New starts a Proposer that is not leader. Close ends it.
func New(cfg Config) (*Proposer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proposer{cfg: cfg, cancel: cancel, wake: make(chan struct{}, 1), places: make(chan struct{}, cfg.MaxBulk)}
	p.calls.New = func() any { return &call{done: make(chan struct{}, 1)} }
	p.batches.New = func() any { return new(batch) }
	p.mu.registered = make(map[fsm.BatchID]*batch)
	_, _ = rand.Read(p.instance[:]) // documented never to fail
	p.wg.Go(func() { p.run(ctx) })
	return p, nil
}

// Submit proposes c and waits until the own machine has applied it. It does
// not keep c. The result may hold the machine's refusal in Result.Err. A part
// of something large waits for a place among the others first.
//
// The error is a *hawser.Error. [hawser.CodeOutcomeUnknown]: c was or may have
// been handed to raft and may be executed still; it wraps ctx.Err() if ctx
// ended. All others mean that c was not and will not be executed:
// [hawser.CodeNotLeader], [hawser.CodeUnavailable] (starting, handing over,
// stopping), [hawser.CodeOverloaded], [hawser.CodeStorageFull],
// [hawser.CodeTooLarge], [hawser.CodeDeadline] and [hawser.CodeCanceled].
func (p *Proposer) Submit(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	if err := p.admit(ctx, c); err != nil {
		return fsm.Result{}, err
	}
	bulk := isBulk(c)
	if bulk {
		select {
		case p.places <- struct{}{}:
			defer func() { <-p.places }()
		case <-ctx.Done():
			return fsm.Result{}, ended(ctx.Err())
		}
	}
	if err := p.held(c); err != nil {
		return fsm.Result{}, err
	}
	waiting := p.encode(c)
	if err := p.enqueue(waiting, bulk); err != nil {
		p.reuse(waiting)
		return fsm.Result{}, err
	}
	select {
	case <-waiting.done:
	case <-ctx.Done():
		if err := p.abandon(waiting, ctx.Err()); err != nil {
			return fsm.Result{}, err
		}
	}
	if waiting.err != nil {
		return fsm.Result{}, waiting.err // not reused: see fail
	}
	result := waiting.result
	p.reuse(waiting)
	return result, nil
}

// admit refuses what can be refused before the command is encoded.
func (p *Proposer) admit(ctx context.Context, c fsm.Command) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	if p.ready.Load() == 0 {
		p.mu.Lock()
		err := p.refusalLocked()
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	size, grows := growth(c)
	switch {
	case size > maxCommandBytes:
		return tooLarge(size)
	case grows && p.cfg.StorageFull != nil && p.cfg.StorageFull():
		return newError(hawser.CodeStorageFull, "too few nodes have free disk space; delete something or add space")
	}
	return nil
}

// held returns why c is not taken at the moment, nil if it is.
func (p *Proposer) held(c fsm.Command) error {
	if _, audit := c.(*fsm.Audit); audit || p.cfg.Held == nil {
		return nil
	}
	return p.cfg.Held()
}

// growth returns how many bytes c adds to what is stored, about, and whether
// it is refused when there is no room to grow.
func growth(c fsm.Command) (size int, grows bool) {
	switch c := c.(type) {
	case *fsm.Save:
		size = len(c.Content.Data)
		for _, e := range c.Emit {
			size += len(e.Payload)
		}
		return size, true
	case *fsm.SendMessage:
		return len(c.Payload), true
	case *fsm.SaveAll:
		for _, save := range c.Saves {
			size += len(save.Content.Data)
		}
		return size, true
	case *fsm.OpenSession, *fsm.MakeCut: // a cut keeps what would go
		return 0, true
	case *fsm.Part:
		return len(c.Data), true
	case *fsm.BeginEffect:
		return len(c.ID) + len(c.Description), true
	case *fsm.FinishEffect:
		return len(c.End.Result), false // its call was made: to forget that would be worse
	case *fsm.ImportItems:
		for _, item := range c.Items {
			size += len(item)
		}
		return size, true
	}
	return 0, false
}

// isBulk reports whether c goes by the bulk lane: it is a part of something
// large, for which nobody waits alone.
func isBulk(c fsm.Command) bool {
	switch c.(type) {
	case *fsm.Part, *fsm.ImportItems:
		return true
	}
	return false
}

func (p *Proposer) encode(c fsm.Command) *call {
	waiting := p.calls.Get().(*call) // the pool holds nothing else
	buf := waiting.encoded[:0]
	if size, _ := growth(c); size > 0 {
		buf = slices.Grow(buf, size+1024)
	}
	waiting.encoded = fsm.AppendCommand(buf, c)
	return waiting
}

// reuse keeps a call that nobody else refers to for the next command.
func (p *Proposer) reuse(c *call) {
	if cap(c.encoded) > keepBytes {
		c.encoded = nil
	}
	c.result, c.err = fsm.Result{}, nil
	p.calls.Put(c)
}

func (p *Proposer) enqueue(c *call, bulk bool) error {
	if len(c.encoded) > maxCommandBytes {
		return tooLarge(len(c.encoded))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refusalLocked(); err != nil {
		return err
	}
	q := &p.mu.normal
	if bulk {
		q = &p.mu.bulk
	} else if q.count >= p.cfg.MaxQueue || q.bytes+len(c.encoded) > p.cfg.MaxQueueBytes {
		return newError(hawser.CodeOverloaded, "too many commands wait on the leader")
	}
	q.push(c)
	if p.nextLaneLocked() != nil {
		p.wakeLoop() // else whoever frees a place does it
	}
	return nil
}

// refusalLocked returns why no command is taken now, nil if one is.
func (p *Proposer) refusalLocked() error {
	switch {
	case p.mu.closed:
		return closing()
	case p.mu.term == 0:
		return notLeader()
	case p.ready.Load() == 0:
		return newError(hawser.CodeUnavailable, "the new leader is starting")
	case p.mu.pauses > 0:
		return newError(hawser.CodeUnavailable, "leadership is being handed over")
	}
	return nil
}

// abandon lets go of a call whose caller's context ended. It returns nil if
// the call has just ended.
func (p *Proposer) abandon(c *call, cause error) error {
	p.mu.Lock()
	withdrawn := c.in != nil
	if withdrawn {
		c.in.remove(c)
		p.settleLocked()
	}
	p.mu.Unlock()
	if withdrawn {
		p.reuse(c)
		return ended(cause)
	}
	select {
	case <-c.done:
		return nil
	default:
		return &hawser.Error{Code: hawser.CodeOutcomeUnknown, Op: op, Msg: "the caller left while it was under way", Err: cause}
	}
}

func (p *Proposer) wakeLoop() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Stats returns a snapshot of the counters.
func (p *Proposer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.mu.stats
	s.Queued, s.QueuedBytes = p.mu.normal.count+p.mu.bulk.count, p.mu.normal.bytes+p.mu.bulk.bytes
	s.InFlight = len(p.mu.registered)
	now := time.Now()
	for _, b := range p.mu.registered {
		s.Waiting = max(s.Waiting, now.Sub(b.deadline)+p.cfg.Timeout)
	}
	return s
}

// Close refuses further commands, ends those that wait, with CodeUnavailable
// if they were not handed to raft and CodeOutcomeUnknown otherwise, and joins
// the loop. It may be called more than once.
func (p *Proposer) Close() {
	p.mu.Lock()
	p.mu.closed = true
	queued, handed := p.stepDownLocked()
	p.mu.Unlock()
	fail(queued, closing())
	fail(handed, unknown("the node stopped before the command was applied"))
	p.cancel()
	p.wg.Wait()
}
