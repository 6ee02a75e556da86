// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	lru "container/list"
	"sync"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// versionAt is a version as far as a save by delta or a restore from a base
// needs to know it.
type versionAt struct {
	agent      hawser.AgentID
	number     uint64
	generation hawser.Generation
	sha        hawser.Hash
	chain      record.Chain
}

// before reports whether v is an older version than w, or of an older life of
// the cluster.
func (v versionAt) before(w versionAt) bool {
	return v.generation < w.generation || v.generation == w.generation && v.number < w.number
}

// held is the content of a version. Nobody writes to it while it has users or
// is in the cache.
type held struct {
	versionAt
	state []byte
	users int // guarded by the cache's mutex
}

// cost is what a held content counts for: its memory and that around it.
func (h *held) cost() int64 { return int64(cap(h.state)) + 512 }

// cache keeps the content of the newest version that the client saved or
// restored of each agent, within a bound; what was not used for longest goes
// first.
type cache struct {
	max int64 // 0 keeps nothing

	mu      sync.Mutex // guards all below and the users of what is held
	size    int64
	entries map[hawser.AgentID]*lru.Element // of *held
	order   *lru.List                       // most recently used first
}

func newCache(limit int64) *cache {
	return &cache{max: max(limit, 0), entries: map[hawser.AgentID]*lru.Element{}, order: lru.New()}
}

// hold returns what is kept of an agent, nil for nothing. The caller gives it
// back with release and does not change it.
func (c *cache) hold(agent hawser.AgentID) *held {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[agent]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	h := e.Value.(*held)
	h.users++
	return h
}

// newest returns the number of the version that is kept of an agent, 0 for none.
func (c *cache) newest(agent hawser.AgentID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[agent]; e != nil {
		return e.Value.(*held).number
	}
	return 0
}

func (c *cache) release(h *held) {
	if h == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.users--
}

// keep keeps a copy of a version's content, unless a newer one is kept.
func (c *cache) keep(v versionAt, state []byte) {
	buf, wanted := c.make(v, len(state))
	if !wanted {
		return
	}
	h := &held{versionAt: v, state: append(buf, state...)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[v.agent]; e != nil { // kept by another handle meanwhile
		if v.before(e.Value.(*held).versionAt) {
			return
		}
		c.removeLocked(e)
	}
	c.size += h.cost()
	c.entries[v.agent] = c.order.PushFront(h)
	for c.size > c.max {
		c.removeLocked(c.order.Back())
	}
}

// make returns an empty buffer for n bytes of v's content, that of the version
// before if it fits. It reports false if v is not to be kept, or is.
func (c *cache) make(v versionAt, n int) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var buf []byte
	if e := c.entries[v.agent]; e != nil {
		old := e.Value.(*held)
		switch {
		case v.before(old.versionAt):
			return nil, false
		case v.number == old.number && v.generation == old.generation && v.sha == old.sha:
			c.order.MoveToFront(e)
			return nil, false
		}
		c.removeLocked(e)
		if old.users == 0 && cap(old.state)/2 <= n {
			buf = old.state[:0]
		}
	}
	switch need := int64(n) + 512; {
	case need > c.max:
		return nil, false
	case n <= cap(buf):
		return buf, true
	case need > c.max/4:
		return make([]byte, 0, n), true
	default:
		return make([]byte, 0, n+n/16), true // histories grow
	}
}

// fork keeps what is held of source for v, if v is equal to it.
func (c *cache) fork(source hawser.AgentID, v versionAt) {
	h := c.hold(source)
	defer c.release(h)
	if h != nil && h.sha == v.sha && h.generation == v.generation {
		v.chain = h.chain // they share it
		c.keep(v, h.state)
	}
}

func (c *cache) removeLocked(e *lru.Element) {
	h := c.order.Remove(e).(*held)
	c.size -= h.cost()
	delete(c.entries, h.agent)
}

// drop forgets h, unless something else is kept in its place.
func (c *cache) drop(h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[h.agent]; e != nil && e.Value == h {
		c.removeLocked(e)
	}
}
