// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"sync"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// ringEvents is how many events are kept in memory, about 20 MiB.
	ringEvents = 1 << 16
	// maxSubscriptions bounds those of one node.
	maxSubscriptions = 20_000
	// maxBehind is how far a subscriber that had caught up may fall behind.
	maxBehind = 100_000
	// maxReading bounds the subscribers that read the log at a time.
	maxReading = 4
)

// View is a moment of the event log: an *fsm.View.
type View interface {
	// Events returns the events after a revision, about limit of them: those of
	// one revision are all there.
	Events(after hawser.Revision, limit int) ([]hawser.Event, error)
	// EventBounds returns the newest revision of which the events are gone, the
	// newest of all, and the number of events that are there.
	EventBounds() (trimmed, newest hawser.Revision, count uint64)
	Info() fsm.Info
	Close() error
}

// Config configures a [Hub].
type Config struct {
	// View returns the newest moment of the machine. It is required.
	View func() (View, error)
	// Events, Subscriptions and Behind replace the limits, for tests; 0 keeps
	// them.
	Events, Subscriptions, Behind int
}

// Hub tells subscribers what is applied. Make one with [New].
type Hub struct {
	cfg     Config
	done    chan struct{}
	reading chan struct{}

	mu     sync.Mutex
	closed bool
	ring   ring
	// head is the newest revision that was seen.
	head hawser.Revision
	// waiting holds the subscriptions that have caught up, by scope, as lists;
	// prefixes counts those for prefixes.
	waiting  map[scope]*Subscription
	prefixes int
	open     int
}

// New returns a Hub for a machine to which nothing is applied before it
// returns. It reads the newest events; errors are the machine's.
func New(cfg Config) (*Hub, error) {
	for limit, standard := range map[*int]int{&cfg.Events: ringEvents, &cfg.Subscriptions: maxSubscriptions, &cfg.Behind: maxBehind} {
		if *limit == 0 {
			*limit = standard
		}
	}
	h := &Hub{
		cfg: cfg, done: make(chan struct{}), reading: make(chan struct{}, maxReading),
		ring: ring{limit: cfg.Events}, waiting: make(map[scope]*Subscription),
	}
	return h, h.load()
}

// load fills the ring with what a restart would otherwise have every
// subscriber read from the log.
func (h *Hub) load() error {
	view, err := h.cfg.View()
	if err != nil {
		return err
	}
	defer closeView(view)
	trimmed, newest, _ := view.EventBounds()
	from := trimmed
	if keep := hawser.Revision(h.ring.limit); newest > keep {
		from = max(from, newest-keep)
	}
	h.ring.floor, h.head = from, newest
	for after := from; ; {
		events, err := view.Events(after, maxScan)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			h.ring.add(e)
		}
		after = events[len(events)-1].Revision
	}
}

// OnApplied takes what the machine has applied. It waits for nobody.
func (h *Hub) OnApplied(applied []fsm.Applied) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range applied {
		for i := range a.Results {
			h.takeLocked(&a.Results[i])
		}
	}
}

func (h *Hub) takeLocked(res *fsm.Result) {
	if res.Revision > h.head+1 {
		// The machine was replaced, or filled: a command makes one revision.
		h.restartLocked(res.Revision - 1)
	}
	h.head = max(h.head, res.Revision)
	for _, e := range res.Events {
		h.ring.add(e)
		scopes(e.Name, h.prefixes > 0, func(s scope) { h.wakeLocked(s, &e) })
	}
}

// Reset is for a machine whose state was replaced: all subscribers look at the
// log again.
func (h *Hub) Reset() error {
	view, err := h.cfg.View()
	if err != nil {
		return err
	}
	_, newest, _ := view.EventBounds()
	closeView(view)
	h.mu.Lock()
	defer h.mu.Unlock()
	if newest > h.head {
		h.restartLocked(newest)
	}
	return nil
}

// restartLocked begins anew above a revision that the machine has reached.
func (h *Hub) restartLocked(head hawser.Revision) {
	h.ring.clear(head)
	h.head = head
	for _, s := range h.waiting {
		for s != nil {
			next := s.next
			s.wakeLocked(0)
			s = next
		}
	}
}

// wakeLocked wakes who waits for an event of a scope.
func (h *Hub) wakeLocked(of scope, e *hawser.Event) {
	for s := h.waiting[of]; s != nil; {
		next := s.next
		if s.wants(e) {
			s.wakeLocked(e.Revision)
		}
		s = next
	}
}

// Head returns the newest revision that subscribers are told of.
func (h *Hub) Head() hawser.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head
}

// Len returns the number of open subscriptions.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// Close ends all subscriptions with hawser.ErrUnavailable. It may be called
// again.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
}

var errClosed error = &hawser.Error{Code: hawser.CodeUnavailable, Op: "watch", Msg: "this node stops; go on at another one"}

func tooMany(limit int) error {
	return &hawser.Error{
		Code: hawser.CodeOverloaded, Op: "watch",
		Msg: fmt.Sprintf("this node has %d watches open, which is the most; end some, or watch at another node", limit),
	}
}

func closeView(v View) { _ = v.Close() }
