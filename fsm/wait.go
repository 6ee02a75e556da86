// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"container/heap"
	"context"
	"sync"
)

// Wait returns when the machine has applied the entry at index, or a later
// one. It returns the cause of ctx, or the error that stopped the machine.
func (m *Machine) Wait(ctx context.Context, index uint64) error {
	if m.published.Load().meta.Index >= index {
		return nil
	}
	w := &waiter{index: index, done: make(chan error, 1)}
	m.waiters.add(w)
	// What was applied or failed in between has not seen the waiter.
	if m.published.Load().meta.Index >= index {
		m.waiters.drop(w)
		return nil
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		m.waiters.drop(w)
		return context.Cause(ctx)
	}
}

// waiters wakes who waits for an index, and nobody else.
type waiters struct {
	mu   sync.Mutex
	heap waiterHeap
	err  error
}

// waiter waits for an index. Done gets one value.
type waiter struct {
	index uint64
	at    int // place in the heap, -1 when not in it
	done  chan error
}

func (w *waiters) add(x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		x.at = -1
		x.done <- w.err
		return
	}
	heap.Push(&w.heap, x)
}

func (w *waiters) drop(x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.at >= 0 {
		heap.Remove(&w.heap, x.at)
	}
}

func (w *waiters) reached(index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.heap) > 0 && w.heap[0].index <= index {
		heap.Pop(&w.heap).(*waiter).done <- nil
	}
}

// fail wakes everybody, now and later, with err.
func (w *waiters) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	for len(w.heap) > 0 {
		heap.Pop(&w.heap).(*waiter).done <- w.err
	}
}

type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }

func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *waiterHeap) Push(x any) {
	w := x.(*waiter)
	w.at = len(*h)
	*h = append(*h, w)
}

func (h *waiterHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.at = -1
	return w
}
