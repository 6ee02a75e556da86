// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"container/list"
	"context"
	"net"
	"sync"
)

// gate bounds the handshakes under way. When it is full, the oldest is given
// up: a good handshake takes milliseconds, so the oldest is one that stalls.
type gate struct {
	// slots holds one value for each handshake under way; its capacity is
	// the bound.
	slots chan struct{}

	mu      sync.Mutex
	pending list.List // of net.Conn, oldest first
}

func newGate(limit int) *gate { return &gate{slots: make(chan struct{}, limit)} }

// enter takes a slot for c, giving up the oldest handshake if need be. It
// waits until that one has ended. The caller calls leave when done. It
// returns false when ctx ends first.
func (g *gate) enter(ctx context.Context, c net.Conn) (leave func(), ok bool) {
	select {
	case g.slots <- struct{}{}:
	default:
		g.evict()
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, false
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.pending.PushBack(c)
	return func() {
		g.mu.Lock()
		g.pending.Remove(e)
		g.mu.Unlock()
		<-g.slots
	}, true
}

func (g *gate) evict() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.pending.Front(); e != nil {
		g.pending.Remove(e)
		_ = e.Value.(net.Conn).Close()
	}
}
