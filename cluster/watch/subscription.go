// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
)

const (
	// maxBatch is about how many events Next returns at once.
	maxBatch = 256
	// maxScan is about how many events are looked at without a break.
	maxScan = 1024
)

// Subscription is a place in the order of events. It is used by one goroutine
// at a time.
type Subscription struct {
	hub *Hub
	matcher

	// wake has capacity 1; a full channel means that there is something to see.
	wake chan struct{}

	// What follows is guarded by the hub's mutex.

	// at: all up to this revision was delivered, or does not match.
	at hawser.Revision
	// found is the first revision above at with a match, as far as is known.
	found hawser.Revision
	// seen is the ring's count of events at that place, while live is set.
	seen uint64
	live bool
	// listed: it has caught up and is in its list, between previous and next.
	listed         bool
	previous, next *Subscription
	closed         bool
}

// Subscribe opens a subscription to what comes after a revision, which may be
// one that the node has not reached. It must be closed. It fails with
// hawser.ErrOverloaded when too many are open, and with
// hawser.ErrUnavailable after [Hub.Close].
func (h *Hub) Subscribe(f Filter, after hawser.Revision) (*Subscription, error) {
	s := &Subscription{hub: h, matcher: newMatcher(f), wake: make(chan struct{}, 1), at: after}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, errClosed
	case h.open >= h.cfg.Subscriptions:
		return nil, tooMany(h.cfg.Subscriptions)
	}
	h.open++
	return s, nil
}

// Close ends the subscription. It may be called again.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.hub.open--
	s.unlistLocked()
}

// Next waits for events that match, and returns them with the revision up to
// which they are all: those of one revision are always together. When ctx ends
// first it returns none, the revision up to which there was none, and
// ctx.Err(). Other errors end the subscription: *hawser.CompactedError,
// hawser.ErrOverloaded for a subscriber that is too slow,
// hawser.ErrUnavailable when the hub is closed, and those of the machine.
func (s *Subscription) Next(ctx context.Context) (events []hawser.Event, upTo hawser.Revision, err error) {
	for {
		events, step, err := s.poll()
		if err == nil && step == readLog {
			events, err = s.read(ctx)
		}
		if err != nil || len(events) > 0 {
			return events, s.UpTo(), err
		}
		if step == wait {
			select {
			case <-s.wake:
			case <-ctx.Done():
			case <-s.hub.done:
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, s.UpTo(), err
		}
	}
}

// UpTo returns the revision up to which all that matches was returned.
func (s *Subscription) UpTo() hawser.Revision {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.listed {
		s.at = max(s.at, s.hub.head)
	}
	return s.at
}

// step is what Next does after a look at the ring.
type step uint8

const (
	again step = iota
	wait
	readLog
)

// poll looks at a part of the ring.
func (s *Subscription) poll() ([]hawser.Event, step, error) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, wait, errClosed
	case s.listed:
		return nil, wait, nil
	}
	if from := max(s.at, s.found-min(s.found, 1)); from >= h.ring.floor {
		events, step := s.scanLocked(from)
		return events, step, nil
	}
	if behind := h.ring.added - s.seen; s.live && behind > uint64(h.cfg.Behind) {
		return nil, readLog, &hawser.Error{
			Code: hawser.CodeOverloaded, Op: "watch",
			Msg: fmt.Sprintf("the watcher is too slow: %d events behind, %d are allowed; go on from the last cursor", behind, h.cfg.Behind),
		}
	}
	s.live, s.found = false, 0
	return nil, readLog, nil
}

// scanLocked returns what matches after from, and lists s when that is all.
func (s *Subscription) scanLocked(from hawser.Revision) (events []hawser.Event, next step) {
	r := &s.hub.ring
	i := r.after(from)
	for begin := i; i < r.len(); i++ {
		e := r.at(i)
		if (i-begin >= maxScan || len(events) >= maxBatch) && e.Revision > s.at {
			s.live, s.seen, s.found = true, r.added-uint64(r.len()-i), 0
			return events, again
		}
		s.at = e.Revision
		if s.matches(e) {
			events = append(events, *e)
		}
	}
	s.at = max(s.at, s.hub.head)
	s.live, s.seen, s.found = true, r.added, 0
	s.listLocked()
	return events, wait
}

// read returns what matches in a part of the log.
func (s *Subscription) read(ctx context.Context) ([]hawser.Event, error) {
	select {
	case s.hub.reading <- struct{}{}:
		defer func() { <-s.hub.reading }()
	case <-s.hub.done:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	view, err := s.hub.cfg.View()
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	at := s.UpTo()
	trimmed, newest, _ := view.EventBounds()
	if at < trimmed {
		return nil, &hawser.CompactedError{Oldest: hawser.Cursor{Generation: view.Info().Generation, Revision: trimmed}}
	}
	events, err := view.Events(at, maxScan)
	if err != nil {
		return nil, err
	}
	if len(events) < maxScan {
		at = max(at, newest)
	} else {
		at = events[len(events)-1].Revision
	}
	s.hub.mu.Lock()
	s.at = at
	s.hub.mu.Unlock()
	return s.filter(events), nil
}

// wakeLocked takes s off its list and has it look at the ring.
func (s *Subscription) wakeLocked(found hawser.Revision) {
	if found > 0 {
		s.at = max(s.at, found-1)
	}
	s.found = found
	s.seen = s.hub.ring.added - 1
	s.unlistLocked()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Subscription) listLocked() {
	h := s.hub
	if s.listed || s.closed {
		return
	}
	s.listed, s.previous, s.next = true, nil, h.waiting[s.scope]
	if s.next != nil {
		s.next.previous = s
	}
	h.waiting[s.scope] = s
	if s.scope.breadth == onePrefix {
		h.prefixes++
	}
}

func (s *Subscription) unlistLocked() {
	h := s.hub
	if !s.listed {
		return
	}
	switch {
	case s.previous != nil:
		s.previous.next = s.next
	case s.next != nil:
		h.waiting[s.scope] = s.next
	default:
		delete(h.waiting, s.scope)
	}
	if s.next != nil {
		s.next.previous = s.previous
	}
	s.listed, s.previous, s.next = false, nil, nil
	if s.scope.breadth == onePrefix {
		h.prefixes--
	}
}
