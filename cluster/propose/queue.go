// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// call is one command on its way and the caller that waits for it.
type call struct {
	encoded []byte
	// done has room for one signal, sent once by whoever ends the call, after
	// result and err are written.
	done   chan struct{}
	result fsm.Result
	err    error

	// Guarded by Proposer.mu. in is the queue that the call waits in, else nil.
	in         *queue
	prev, next *call
}

// end tells the waiter, if it is still there. The sender must not touch the
// call afterwards.
func (c *call) end() { c.done <- struct{}{} }

// queue is a list of calls in order of arrival, from which each can be taken
// at once. Guarded by Proposer.mu.
type queue struct {
	first, last *call
	count       int
	bytes       int
}

func (q *queue) push(c *call) {
	c.in, c.prev, c.next = q, q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
	q.count++
	q.bytes += len(c.encoded)
}

func (q *queue) remove(c *call) {
	if c.prev == nil {
		q.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.in, c.prev, c.next = nil, nil, nil
	q.count--
	q.bytes -= len(c.encoded)
}

// drain takes all calls out.
func (q *queue) drain() []*call {
	calls := make([]*call, 0, q.count)
	for q.first != nil {
		calls = append(calls, q.first)
		q.remove(q.first)
	}
	return calls
}

// batch is the calls of one entry, from registration until somebody takes it
// out of Proposer.batches. From then on it belongs to the taker.
type batch struct {
	calls []*call
	// bulk says that they came from the bulk lane.
	bulk     bool
	deadline time.Time
}

// fail ends all calls with one error. The batch is not used again: the loop
// may still be reading the calls' buffers.
func fail(calls []*call, err error) {
	for _, c := range calls {
		c.err = err
		c.end()
	}
}
