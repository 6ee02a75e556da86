// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"

	"github.com/hawserdb/hawser"
)

// turn is a place in a queue: those of a higher priority come first, then
// those who came first.
type turn struct {
	priority int32
	sequence uint64
}

const turnSize = 12

// append appends a form that sorts as the queue does.
func (t turn) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, ^(uint32(t.priority) ^ 1<<31))
	return binary.BigEndian.AppendUint64(dst, t.sequence)
}

func (r *reader) turn() turn {
	return turn{priority: int32(^r.fixed32() ^ 1<<31), sequence: r.fixed64()}
}

func (t turn) before(u turn) bool {
	return t.priority > u.priority || t.priority == u.priority && t.sequence < u.sequence
}

// contender is who waits for a resource.
type contender struct {
	turn
	lease hawser.LeaseID
	since int64
}

// hold is what a lease has in a resource.
type hold struct {
	// queued tells a place in the queue from a hold.
	queued bool
	turn   turn
}

func (h hold) encode() []byte {
	if !h.queued {
		return []byte{storedFormat, 0}
	}
	return h.turn.append([]byte{storedFormat, 1})
}

func parseHold(b []byte) (hold, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return hold{}, errMalformed
	}
	h := hold{queued: r.bool()}
	if h.queued {
		h.turn = r.turn()
	}
	return h, r.end()
}

func encodeContender(lease hawser.LeaseID, since int64) []byte {
	return binary.AppendUvarint(append([]byte{storedFormat}, lease[:]...), uint64(since))
}

// parseContender reads a contender from its key and value.
func parseContender(key, value []byte) (contender, error) {
	r := &reader{b: value}
	if r.byte() != storedFormat || len(key) < turnSize {
		return contender{}, errMalformed
	}
	k := &reader{b: key[len(key)-turnSize:]}
	w := contender{turn: k.turn(), lease: r.lease(), since: r.int63()}
	return w, r.end()
}

// has returns what a lease has in a resource, nil for nothing.
func (c *changes) has(lease hawser.LeaseID, name hawser.Resource) (*hold, error) {
	value, err := c.get(heldKey(lease, name))
	if err != nil || value == nil {
		return nil, err
	}
	h, err := parseHold(value)
	if err != nil {
		return nil, damaged("hold of "+name.String(), err)
	}
	return &h, nil
}

// held returns the first resources that a lease holds or waits for.
func (c *changes) held(lease hawser.LeaseID, limit int) ([]hawser.Resource, error) {
	lower := leaseKey(nil, lease)
	lower[0] = prefixHeld
	var resources []hawser.Resource
	err := c.scan(lower, keyAfter(lower), func(key, _ []byte) (bool, error) {
		name, ok := splitHeldKey(key)
		if !ok {
			return false, damaged("hold of lease "+lease.String(), errMalformed)
		}
		resources = append(resources, name)
		return len(resources) < limit, nil
	})
	return resources, err
}

// enqueue puts a lease at its place in the queue.
func (c *changes) enqueue(r *resource, l *lease, priority int32) turn {
	t := turn{priority: priority, sequence: r.sequence}
	if r.waiting == 0 || t.before(r.front) {
		r.front = t
	}
	r.sequence++
	c.queue(r, l, t)
	l.held, l.changed = l.held+1, true
	return t
}

func (c *changes) queue(r *resource, l *lease, t turn) {
	r.waiting++
	c.putListed(waiterKey(r.name, t), encodeContender(l.id, c.state.time))
	c.putListed(heldKey(l.id, r.name), hold{queued: true, turn: t}.encode())
}

// dequeue takes a lease out of the queue.
func (c *changes) dequeue(r *resource, l *lease, t turn) {
	r.waiting--
	c.drop(waiterKey(r.name, t))
	c.drop(heldKey(l.id, r.name))
	l.held, l.changed = l.held-1, true
}

// reorder gives a waiter another priority. It keeps its place among equals by
// when it came.
func (c *changes) reorder(r *resource, l *lease, from turn, priority int32) turn {
	to := turn{priority: priority, sequence: from.sequence}
	c.drop(waiterKey(r.name, from))
	r.waiting--
	if to.before(r.front) {
		r.front = to
	}
	c.queue(r, l, to)
	r.changed = true
	return to
}

// waiters calls yield with those who wait for a resource, in order, until it
// returns false.
func (c *changes) waiters(r *resource, yield func(contender) bool) error {
	if r.waiting == 0 {
		return nil
	}
	lower := waiterKey(r.name, r.front)
	upper := keyAfter(lower[:len(lower)-turnSize])
	return c.scan(lower, upper, func(key, value []byte) (bool, error) {
		w, err := parseContender(key, value)
		if err != nil {
			return false, damaged("waiter for "+r.name.String(), err)
		}
		return yield(w), nil
	})
}

// maxPosition is the furthest place in a queue that is counted.
const maxPosition = 100

// position counts who is before a turn, up to 100.
func (c *changes) position(r *resource, t turn) (int, error) {
	n := 0
	err := c.waiters(r, func(w contender) bool {
		if !w.before(t) || n == maxPosition {
			return false
		}
		n++
		return true
	})
	return n, err
}
