// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"iter"

	"github.com/hawserdb/hawser"
)

// Follow keeps up with an agent that somebody else owns: it yields the newest
// state, and again whenever a newer one was saved. A reader that is slower than
// the saves gets the newest, not each. Who calls Claim at the same time, with the
// same Client, is served before others of the same priority that are further
// behind.
//
// While the agent does not exist nothing is yielded. It ends with ctx, or with an
// error.
func (a *Agent) Follow(ctx context.Context) iter.Seq2[Checkpoint, error] {
	return func(yield func(Checkpoint, error) bool) {
		if a.err != nil {
			yield(Checkpoint{}, a.err)
			return
		}
		// A handle of its own: the caller's keeps what it saw.
		f := &follower{agent: a.client.Agent(a.id.Name), yield: yield}
		for {
			err := f.follow(ctx)
			switch {
			case f.stopped:
				return
			case errors.Is(err, hawser.ErrCompacted), errors.Is(err, hawser.ErrOverloaded), errors.Is(err, hawser.ErrWrongGeneration):
				continue // the state itself tells what was missed
			}
			yield(Checkpoint{}, err)
			return
		}
	}
}

type follower struct {
	agent   *Agent
	last    uint64
	yield   func(Checkpoint, error) bool
	stopped bool
}

func (f *follower) follow(ctx context.Context) error {
	begun := false
	for batch, err := range f.agent.client.Watch(ctx, Name(f.agent.id.Name), Kinds(hawser.EventVersionSaved)) {
		if err != nil {
			return err
		}
		if begun && len(batch.Events) == 0 {
			continue
		}
		if !begun {
			begun, f.last = true, 0 // after a full restore numbers may be lower
		}
		if n := len(batch.Events); n > 0 && batch.Events[n-1].Number <= f.last {
			continue
		}
		if err := f.restore(ctx); err != nil || f.stopped {
			return err
		}
	}
	return ctx.Err()
}

func (f *follower) restore(ctx context.Context) error {
	cp, err := f.agent.Restore(ctx, WithoutMessages())
	switch {
	case errors.Is(err, hawser.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if cp.Version.Number != f.last {
		f.last = cp.Version.Number
		f.stopped = !f.yield(cp, nil)
	}
	return nil
}
