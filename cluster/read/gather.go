// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"errors"
	"sync"

	"github.com/hawserdb/hawser"
)

// gatherer runs a function for callers in batches: one run at a time, and each
// run serves exactly those callers that waited when it began.
type gatherer struct {
	op         string
	maxWaiting int
	wake       chan struct{} // capacity 1; a full channel means the loop will look

	mu     sync.Mutex
	next   *batch // callers of the next run, nil for none
	closed bool
}

// batch is the callers of one run. index and err are written before done is
// closed and read after.
type batch struct {
	callers int // guarded by gatherer.mu
	done    chan struct{}
	index   uint64
	err     error
}

func newGatherer(op string, maxWaiting int) *gatherer {
	return &gatherer{op: op, maxWaiting: maxWaiting, wake: make(chan struct{}, 1)}
}

// wait returns the result of the first run that begins after the call.
func (g *gatherer) wait(ctx context.Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, ended(g.op, err)
	}
	b, err := g.join()
	if err != nil {
		return 0, err
	}
	select {
	case <-b.done:
		return b.index, b.err
	case <-ctx.Done():
		g.leave(b)
		return 0, ended(g.op, ctx.Err())
	}
}

func (g *gatherer) join() (*batch, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, closedError(g.op)
	}
	if g.next == nil {
		g.next = &batch{done: make(chan struct{})}
	}
	if g.next.callers >= g.maxWaiting {
		return nil, &hawser.Error{Code: hawser.CodeOverloaded, Op: g.op, Msg: "too many reads wait on this node"}
	}
	g.next.callers++
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return g.next, nil
}

func (g *gatherer) leave(b *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b.callers--
}

// take closes the batch to further callers and returns it, nil if nobody waits.
func (g *gatherer) take() *batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.next
	g.next = nil
	if b == nil || b.callers == 0 {
		return nil
	}
	return b
}

// serve runs f for whoever waits until ctx ends.
func (g *gatherer) serve(ctx context.Context, f func(context.Context) (uint64, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
			g.run(ctx, f)
		}
	}
}

// run runs f once if anybody waits.
func (g *gatherer) run(ctx context.Context, f func(context.Context) (uint64, error)) {
	b := g.take()
	if b == nil {
		return
	}
	b.index, b.err = f(ctx)
	close(b.done)
}

// close fails whoever waits and refuses the rest. The loop has ended by then.
func (g *gatherer) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.next != nil {
		g.next.err = closedError(g.op)
		close(g.next.done)
		g.next = nil
	}
}

func closedError(op string) error {
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Msg: "this node is stopping; ask another one"}
}

// ended makes the error of a caller whose context ended.
func ended(op string, cause error) error {
	code := hawser.CodeDeadline
	if errors.Is(cause, context.Canceled) {
		code = hawser.CodeCanceled
	}
	return &hawser.Error{Code: code, Op: op, Err: cause}
}
