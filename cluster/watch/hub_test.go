// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// log stands for the machine: all events, of which the oldest may be trimmed.
type log struct {
	mu      sync.Mutex
	events  []hawser.Event
	head    hawser.Revision
	trimmed hawser.Revision
}

type logView struct{ log }

func (l *log) view() (View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &logView{log: log{events: slices.Clone(l.events), head: l.head, trimmed: l.trimmed}}, nil
}

func (v *logView) Events(after hawser.Revision, limit int) (events []hawser.Event, _ error) {
	for _, e := range v.events {
		if e.Revision <= max(after, v.trimmed) {
			continue
		}
		if len(events) >= limit && events[len(events)-1].Revision != e.Revision {
			break
		}
		events = append(events, e)
	}
	return events, nil
}

func (v *logView) EventBounds() (trimmed, newest hawser.Revision, count uint64) {
	return v.trimmed, v.head, uint64(len(v.events))
}
func (v *logView) Info() fsm.Info { return fsm.Info{Generation: 77, Revision: v.head} }
func (v *logView) Close() error   { return nil }

// commit makes one revision with n events.
func (l *log) commit(h *Hub, name string, n int) {
	l.mu.Lock()
	l.head++
	res := fsm.Result{Revision: l.head}
	for i := range n {
		res.Events = append(res.Events, hawser.Event{
			Kind: hawser.EventVersionSaved, Revision: l.head, Name: hawser.AgentID{Namespace: "default", Name: name}, Number: uint64(i),
		})
	}
	l.events = append(l.events, res.Events...)
	l.mu.Unlock()
	if h != nil {
		h.OnApplied([]fsm.Applied{{Results: []fsm.Result{res}}})
	}
}

func start(t *testing.T, l *log, cfg Config) *Hub {
	t.Helper()
	cfg.View = l.view
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func subscribe(t *testing.T, h *Hub, f Filter, after hawser.Revision) *Subscription {
	t.Helper()
	f.Namespace = "default"
	s, err := h.Subscribe(f, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Whatever the limits of the ring, whoever subscribes where, and however slowly
// it reads: every event that matches comes once, in order, none is left out, and
// those of one revision come together. Method: random commits beside readers of
// every kind of filter, compared with the log.
func TestHub_EveryEventOnce(t *testing.T) {
	l := &log{}
	names := []string{"a", "b", "crew", "crew/a", "crew/b", "crewman"}
	for range 200 {
		l.commit(nil, names[rand.N(len(names))], rand.N(3))
	}
	h := start(t, l, Config{Events: 50, Behind: 1 << 30})
	const commits = 3000
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i, f := range []Filter{{}, {}, {Name: "a"}, {Prefix: "crew"}, {Prefix: "crew/"}, {Kinds: []hawser.EventKind{hawser.EventAgentDeleted}}, {Name: "crewman"}} {
		after := hawser.Revision(rand.N(200))
		s := subscribe(t, h, f, after)
		wg.Go(func() {
			got, err := read(ctx, s, 200+commits, i%2 == 0)
			if err != nil {
				t.Errorf("%+v: %v", f, err)
				return
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			want := slices.DeleteFunc(slices.Clone(l.events), func(e hawser.Event) bool { return e.Revision <= after || !s.matches(&e) })
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%+v after %d: %d events, expected %d", f, after, len(got), len(want))
			}
		})
	}
	for range commits {
		l.commit(h, names[rand.N(len(names))], rand.N(3))
	}
	l.commit(h, "a", 0)
	wg.Wait()
}

// read reads until a revision is reached.
func read(ctx context.Context, s *Subscription, until hawser.Revision, slowly bool) (all []hawser.Event, err error) {
	for s.UpTo() < until {
		waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		events, _, err := s.Next(waiting)
		cancel()
		if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
		if slowly && rand.N(10) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return all, nil
}

// A place of which the events are gone is refused, with the oldest that is not.
func TestHub_Compacted(t *testing.T) {
	l := &log{}
	for range 100 {
		l.commit(nil, "a", 1)
	}
	l.trimmed = 60
	h := start(t, l, Config{Events: 10})
	s := subscribe(t, h, Filter{}, 30)
	_, _, err := s.Next(t.Context())
	compacted, ok := errors.AsType[*hawser.CompactedError](err)
	if !ok || compacted.Oldest != (hawser.Cursor{Generation: 77, Revision: 60}) {
		t.Fatalf("%v", err)
	}
	if events, _, err := subscribe(t, h, Filter{}, 60).Next(t.Context()); err != nil || events[0].Revision != 61 {
		t.Errorf("%v, %v", events, err)
	}
}

// A watcher that had caught up and falls too far behind is cut off with an
// error that says so; nothing piles up for it.
func TestHub_SlowWatcher(t *testing.T) {
	l := &log{}
	h := start(t, l, Config{Events: 10, Behind: 100})
	s := subscribe(t, h, Filter{}, 0)
	l.commit(h, "a", 1)
	if _, _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		l.commit(h, "a", 1)
	}
	if _, upTo, err := s.Next(t.Context()); !errors.Is(err, hawser.ErrOverloaded) || upTo < 1 {
		t.Errorf("up to %d: %v", upTo, err)
	}
}

// The number of watchers is bounded, one that ends makes room, and the end of
// the hub ends them all.
func TestHub_Bounds(t *testing.T) {
	l := &log{}
	h := start(t, l, Config{Subscriptions: 2})
	first := subscribe(t, h, Filter{}, 0)
	second := subscribe(t, h, Filter{Prefix: "crew"}, 0)
	if _, err := h.Subscribe(Filter{}, 0); !errors.Is(err, hawser.ErrOverloaded) {
		t.Fatal(err)
	}
	first.Close()
	first.Close()
	third := subscribe(t, h, Filter{}, 0)
	if h.Len() != 2 {
		t.Errorf("%d are open", h.Len())
	}
	done := make(chan error)
	for _, s := range []*Subscription{second, third} {
		go func() { _, _, err := s.Next(t.Context()); done <- err }()
	}
	h.Close()
	for range 2 {
		if err := <-done; !errors.Is(err, hawser.ErrUnavailable) {
			t.Error(err)
		}
	}
}

// After the machine was replaced by a newer one, of which the hub saw nothing,
// watchers go on from the log of the new one.
func TestHub_MachineIsReplaced(t *testing.T) {
	l := &log{}
	h := start(t, l, Config{})
	s := subscribe(t, h, Filter{}, 0)
	l.commit(h, "a", 1)
	if _, _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		l.commit(nil, "a", 1) // another node applied these
	}
	l.commit(h, "a", 1)
	got, err := read(t.Context(), s, 52, false)
	if err != nil || len(got) != 51 || got[0].Revision != 2 {
		t.Errorf("%d events, %v", len(got), err)
	}
	for range 5 {
		l.commit(nil, "b", 1)
	}
	if err := h.Reset(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t.Context(), s, 57, false); err != nil || len(got) != 5 {
		t.Errorf("%d events, %v", len(got), err)
	}
}
