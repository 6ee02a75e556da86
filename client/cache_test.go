// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

func at(name string, number uint64) versionAt {
	return versionAt{
		agent: hawser.AgentID{Namespace: "default", Name: name}, number: number, generation: 1,
		sha: hawser.Hash{byte(number)}, chain: record.Chain{Keyframe: 1},
	}
}

// peek returns the number that is held of an agent, 0 for none.
func (c *cache) peek(name string) uint64 {
	h := c.hold(at(name, 0).agent)
	defer c.release(h)
	if h == nil {
		return 0
	}
	return h.number
}

// The cache never holds more than its bound, and what was used last stays.
func TestCache_IsBounded(t *testing.T) {
	const limit = 10_000
	c := newCache(limit)
	check := func() {
		t.Helper()
		var size int64
		for e := c.order.Front(); e != nil; e = e.Next() {
			size += e.Value.(*held).cost()
		}
		if size != c.size || size > limit || len(c.entries) != c.order.Len() {
			t.Fatalf("%d bytes counted, %d held, %d and %d entries", c.size, size, len(c.entries), c.order.Len())
		}
	}
	for i := range 200 {
		c.keep(at(fmt.Sprint(i%13), uint64(i+1)), make([]byte, 100*(i%40)))
		check()
	}
	c = newCache(limit)
	for _, name := range []string{"a", "b", "c"} {
		c.keep(at(name, 1), make([]byte, 2000))
	}
	if c.peek("a") == 0 { // used: b is the oldest now
		t.Fatal("a is gone")
	}
	c.keep(at("d", 1), make([]byte, 2400))
	if c.peek("a") == 0 || c.peek("b") != 0 || c.peek("c") == 0 || c.peek("d") == 0 {
		t.Errorf("held: a %d, b %d, c %d, d %d", c.peek("a"), c.peek("b"), c.peek("c"), c.peek("d"))
	}
	c.keep(at("a", 2), make([]byte, limit))
	if check(); c.peek("a") != 0 {
		t.Error("what is larger than the bound, or what came before it, is held")
	}
	for _, none := range []*cache{newCache(-1), newCache(0)} {
		if none.keep(at("a", 1), nil); none.peek("a") != 0 {
			t.Error("held without a bound to be within")
		}
	}
}

// Only a newer version, or one of a later generation, takes the place of one.
func TestCache_KeepsTheNewest(t *testing.T) {
	c := newCache(1 << 20)
	c.keep(at("a", 5), []byte("five"))
	c.keep(at("a", 4), []byte("four"))
	if c.peek("a") != 5 {
		t.Errorf("held: %d", c.peek("a"))
	}
	reborn := at("a", 3)
	reborn.generation = 2
	c.keep(reborn, []byte("three"))
	if c.peek("a") != 3 {
		t.Errorf("held: %d", c.peek("a"))
	}
	h := c.hold(reborn.agent)
	c.drop(h)
	c.release(h)
	if c.peek("a") != 0 || c.size != 0 {
		t.Errorf("held after it was dropped: %d, %d bytes", c.peek("a"), c.size)
	}
}

// What somebody uses is not written to; what nobody uses makes room for what
// comes after it.
func TestCache_ReusesMemory(t *testing.T) {
	c := newCache(1 << 20)
	c.keep(at("a", 1), bytes.Repeat([]byte("1"), 1000))
	h := c.hold(at("a", 1).agent)
	c.keep(at("a", 2), bytes.Repeat([]byte("2"), 1000))
	if !bytes.Equal(h.state, bytes.Repeat([]byte("1"), 1000)) {
		t.Errorf("the content changed in use: %.10q", h.state)
	}
	c.release(h)
	number := uint64(2)
	state := bytes.Repeat([]byte("3"), 1000)
	if allocs := testing.AllocsPerRun(100, func() {
		number++
		c.keep(at("a", number), state)
	}); allocs > 3 { // the entry, not the content
		t.Errorf("%v allocations", allocs)
	}
	c.fork(at("a", 0).agent, at("b", number))
	if c.peek("b") != number {
		t.Errorf("the fork is not held: %d", c.peek("b"))
	}
	c.keep(at("a", number+1), bytes.Repeat([]byte("4"), 1000))
	b := c.hold(at("b", 0).agent)
	defer c.release(b)
	if !bytes.Equal(b.state, state) {
		t.Errorf("the fork's content changed with its source: %.10q", b.state)
	}
}
