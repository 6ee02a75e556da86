// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"context"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// Large is the size in bytes from which a state is rebuilt alone.
	Large = 8 << 20
	// window is how many numbers one Verify looks at, turn how many large
	// versions it rebuilds before it lets others have theirs.
	window = 64
	turn   = 8
)

// Gate lets those through who rebuild versions. Make one a node with [New]. It
// is safe for concurrent use.
type Gate struct{ token chan struct{} }

// New returns a Gate.
func New() *Gate { return &Gate{token: make(chan struct{}, 1)} }

// enter waits for the token, or until ctx ends.
func (g *Gate) enter(ctx context.Context) (leave func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case g.token <- struct{}{}:
		return func() { <-g.token }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Verify is View.Verify, for fewer numbers at a time: it returns the first that
// it left out, 0 for none. Where one of the versions, or a state on the way to
// it, is large, it waits for its turn, but never within yield. The error is
// ctx's cause when ctx ended before. Waited is how long it did nothing.
func (g *Gate) Verify(
	ctx context.Context, v View, id hawser.AgentID, from, to uint64, yield func(fsm.Verdict) bool,
) (next uint64, waited time.Duration, err error) {
	numbers, next, err := numbers(v, id, from, to)
	if err != nil || len(numbers) == 0 {
		return 0, 0, err
	}
	large, err := anyLarge(v, id, numbers)
	if err != nil {
		return 0, 0, err
	}
	if !large {
		more := true
		_, err := v.Verify(id, numbers[0], numbers[len(numbers)-1], func(found fsm.Verdict) bool {
			more = yield(found)
			return more
		})
		return nextIf(more, next), 0, err
	}
	for some := range slices.Chunk(numbers, turn) {
		verdicts, wait, err := g.alone(ctx, v, id, some)
		waited += wait
		if err != nil {
			return 0, waited, err
		}
		for _, found := range verdicts {
			if !yield(found) {
				return 0, waited, nil
			}
		}
	}
	return next, waited, nil
}

func nextIf(more bool, next uint64) uint64 {
	if more {
		return next
	}
	return 0
}

// alone verifies versions while nobody else rebuilds a large one.
func (g *Gate) alone(ctx context.Context, v View, id hawser.AgentID, numbers []uint64) (verdicts []fsm.Verdict, waited time.Duration, err error) {
	start := time.Now()
	leave, err := g.enter(ctx)
	waited = time.Since(start)
	if err != nil {
		return nil, waited, err
	}
	defer leave()
	_, err = v.Verify(id, numbers[0], numbers[len(numbers)-1], func(found fsm.Verdict) bool {
		verdicts = append(verdicts, found)
		return ctx.Err() == nil
	})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return verdicts, waited, err
}

// Do runs f, alone if it rebuilds a large state of so many bytes. The error is
// f's, or ctx's cause when ctx ended before.
func (g *Gate) Do(ctx context.Context, size int64, f func() error) error {
	if size < Large {
		return f()
	}
	leave, err := g.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return f()
}
