// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
)

const op = "read index"

// Indexer finds the index that a linearizable read must wait for. See the
// package comment for how. Safe for concurrent use.
type Indexer struct {
	cfg    Config
	asker  *asker
	leader *gatherer // callers of LeaderIndex
	remote *gatherer // callers on other nodes than the leader
	cancel context.CancelFunc
	wg     sync.WaitGroup // loops, joined before the asker's goroutines
	once   sync.Once
	// samples takes the requests of Sample. Unbuffered: the loop takes one, or
	// the requester gives up.
	samples chan sampleRequest
	closing chan struct{} // closed by Close
}

// New starts an Indexer. Close ends it.
func New(cfg Config) (*Indexer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &Indexer{
		cfg:     cfg,
		asker:   &asker{ask: cfg.Ask, onAnswer: cfg.OnAnswer, timeout: cfg.RoundTimeout, asking: make(map[string]struct{})},
		leader:  newGatherer(op, cfg.MaxWaiting),
		remote:  newGatherer(op, cfg.MaxWaiting),
		cancel:  cancel,
		samples: make(chan sampleRequest),
		closing: make(chan struct{}),
	}
	x.wg.Go(func() { x.serveLeader(ctx) })
	x.wg.Go(func() { x.remote.serve(ctx, x.askLeader) })
	return x, nil
}

// Close fails all callers with [hawser.CodeUnavailable], ends the goroutines
// and waits for them. It may be called more than once.
func (x *Indexer) Close() {
	x.once.Do(func() {
		close(x.closing)
		x.cancel()
		x.wg.Wait()
		x.asker.wg.Wait()
		x.leader.close()
		x.remote.close()
	})
}

// LeaderIndex returns, on the leader, an index that covers every write that
// was acknowledged anywhere before the call. It fails with
// [hawser.CodeNotLeader] on another node or if there is a newer leader, with
// [hawser.CodeUnavailable] if no majority answered in time, and with
// [hawser.CodeDeadline] or [hawser.CodeCanceled] when ctx ends.
func (x *Indexer) LeaderIndex(ctx context.Context) (uint64, error) {
	return x.leader.wait(ctx)
}

// Wait returns once the own machine has applied every write that was
// acknowledged anywhere before the call, on any node. A snapshot of the machine
// taken afterwards serves a linearizable read. Errors are those of LeaderIndex,
// of ReadIndexAtLeader and of the machine.
func (x *Indexer) Wait(ctx context.Context) error {
	index, err := x.index(ctx)
	if err != nil {
		return err
	}
	err = x.cfg.Machine.Wait(ctx, index)
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		return ended("wait for the state machine", cause)
	}
	return err
}

// index asks where it has to: a node that turns out not to lead any more asks
// the leader.
func (x *Indexer) index(ctx context.Context) (uint64, error) {
	if x.cfg.ReadyTerm() != 0 {
		index, err := x.leader.wait(ctx)
		if !errors.Is(err, hawser.ErrNotLeader) || x.cfg.ReadyTerm() != 0 {
			return index, err
		}
	}
	return x.remote.wait(ctx)
}

// askLeader asks the leader on behalf of all who wait.
func (x *Indexer) askLeader(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, x.cfg.LeaderTimeout)
	defer cancel()
	index, err := x.cfg.ReadIndexAtLeader(ctx)
	if err == nil {
		return index, nil
	}
	// The context is ours: no caller's deadline has passed.
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, hawser.ErrDeadline) || errors.Is(err, hawser.ErrCanceled)) {
		return 0, &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Msg: "the leader does not answer"}
	}
	return 0, fmt.Errorf("%s at the leader: %w", op, err)
}

// serveLeader runs rounds for callers, for the tick and for Sample.
func (x *Indexer) serveLeader(ctx context.Context) {
	tick := time.NewTicker(x.cfg.Tick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.leader.wake:
			x.leader.run(ctx, x.round)
		case s := <-x.samples:
			s.done <- x.sample(ctx, s.term)
		case <-tick.C:
			x.tick(ctx)
		}
	}
}

// tick refreshes what is known of the voters. Its outcome matters to nobody
// but those who happen to wait.
func (x *Indexer) tick(ctx context.Context) {
	if x.cfg.ReadyTerm() == 0 {
		return
	}
	b := x.leader.take()
	index, err := x.round(ctx)
	if b != nil {
		b.index, b.err = index, err
		close(b.done)
	}
}
