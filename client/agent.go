// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"sync"

	"github.com/hawserdb/hawser"
)

// Agent is a handle for one agent, made with [Client.Agent]. It remembers the
// head that it last restored or saved, on which its next save is conditional.
//
// It is safe for concurrent use, but stands for one line of work: its saves,
// deletes and restores of the head take turns, in no particular order, and a
// call that waits for its turn gives up when its context ends. Goroutines that
// derive states independently of each other use a handle each, or
// [ExpectVersion].
type Agent struct {
	client *Client
	id     hawser.AgentID
	err    error // the name is invalid

	// turn holds one token while a call that moves the position runs.
	turn chan struct{}

	mu  sync.Mutex
	pos position // guarded by mu; written only by the holder of the turn
}

// position is what a handle knows of its agent's chain.
type position struct {
	// head is the number of the last restored or saved head, 0 when the agent
	// was seen not to exist, or was never seen.
	head uint64
	// seen is the newest number of the chain that was seen; it exceeds head
	// after a delete, which takes a number too.
	seen uint64
	// generation is that of both numbers, 0 when nothing was seen.
	generation hawser.Generation
	// size is that of the last restored or saved state, which tells how long
	// the next restore may take.
	size int64
	// open is the last write whose outcome is unknown; nil for none.
	open *hawser.RequestID
}

// ID returns whom the handle is for; the zero value if its name is invalid.
func (a *Agent) ID() hawser.AgentID { return a.id }

// Head returns the number of the head that the handle last restored or saved,
// 0 for none.
func (a *Agent) Head() uint64 { return a.position().head }

func (a *Agent) position() position {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pos
}

func (a *Agent) setPosition(p position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pos = p
}

// take waits for the handle's turn; give ends it.
func (a *Agent) take(ctx context.Context, op string) error {
	if a.err != nil {
		return a.err
	}
	if err := ctx.Err(); err != nil {
		return notStarted(op, a.id.String(), err)
	}
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return notStarted(op, a.id.String(), ctx.Err())
	}
}

func (a *Agent) give() { <-a.turn }

// adopt moves the position to a version that this handle saved or found to be
// its own. Numbers rise within a generation; a late repeat of an old request
// does not move it back.
func (a *Agent) adopt(v hawser.Version, generation hawser.Generation) {
	p := a.position()
	if generation == p.generation && v.Number < p.seen {
		return
	}
	a.setPosition(positionAt(v, generation))
}

func positionAt(v hawser.Version, generation hawser.Generation) position {
	return position{head: v.Number, seen: v.Number, generation: generation, size: v.Size}
}

// mint returns the id of a new request under this condition.
func (a *Agent) mint(kind hawser.RequestKind, o *writeOptions) hawser.RequestID {
	p := a.position()
	id := hawser.RequestID{Nonce: hawser.NewNonce(), Kind: kind, Agent: a.id, Generation: p.generation, Seen: p.seen}
	latest := hawser.Generation(a.client.generation.Load())
	if p.generation == 0 || o.condition != conditionHandle && latest != p.generation {
		// What the handle saw, if anything, is of another life of the cluster.
		id.Generation, id.Seen = latest, 0
	}
	switch o.condition {
	case conditionHandle:
		id.Expect = &p.head
	case conditionVersion:
		expect := o.expect
		id.Expect, id.Seen = &expect, max(id.Seen, expect)
	case conditionNone:
	}
	return id
}
