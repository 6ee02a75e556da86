// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/engine"
)

func TestWorth(t *testing.T) {
	const kib = 1 << 10
	for name, c := range map[string]struct {
		r        fsm.Rewrite
		keyframe int64
		idle     time.Duration
		want     bool
	}{
		"nothing dead":                      {fsm.Rewrite{Own: 10 * kib}, 10 * kib, time.Hour, false},
		"a delta before a large one":        {fsm.Rewrite{Dead: 50 * kib, Own: 2 * kib, Rest: 20 * kib}, 40 * kib, time.Hour, true},
		"keyframe dies, delta grows to one": {fsm.Rewrite{Dead: 40 * kib, Own: 2 * kib, Rest: 20 * kib}, 40 * kib, time.Hour, false},
		"little of much":                    {fsm.Rewrite{Dead: 44 * kib, Own: 2 * kib, Rest: 1000 * kib}, 40 * kib, time.Hour, false},
		"tiny segment":                      {fsm.Rewrite{Dead: 1500, Own: 100, Rest: 100}, 500, time.Hour, false},
		"growing, half a keyframe":          {fsm.Rewrite{Dead: 58 * kib, Own: 2 * kib, Rest: 20 * kib, Grows: true}, 40 * kib, 0, false},
		"growing, a keyframe":               {fsm.Rewrite{Dead: 78 * kib, Own: 2 * kib, Rest: 20 * kib, Grows: true}, 40 * kib, 0, true},
		"grew until a minute ago":           {fsm.Rewrite{Dead: 58 * kib, Own: 2 * kib, Rest: 20 * kib, Grows: true}, 40 * kib, time.Minute, true},
	} {
		if got := worth(c.r, c.keyframe, c.idle); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Claim: an agent that saves for ever and keeps its last ten versions costs at
// most twice the bytes that it saves, and its segments hold at most about one
// keyframe that nobody needs.
func TestWorth_SavingForEver(t *testing.T) {
	const keyframe, delta, keep, chain = 20 << 10, 2 << 10, 10, 65
	var first, tip, saved, rewritten, worst int64 = 0, 0, keyframe, 0, 0
	for range 10_000 {
		if tip-first+1 == chain { // a new segment; the old one dies with its last version
			first, tip = 0, 0
			saved += keyframe
			continue
		}
		tip++
		saved += delta
		oldest := tip - keep + 1
		if oldest <= first {
			continue
		}
		dead := keyframe + (oldest-first-1)*delta
		r := fsm.Rewrite{Dead: dead, Own: delta, Rest: (tip - oldest) * delta, Keyframe: keyframe, Grows: true}
		worst = max(worst, dead-keyframe)
		if worth(r, keyframe, time.Second) {
			rewritten += keyframe
			first = oldest
		}
	}
	if rewritten == 0 || rewritten > saved || worst > keyframe {
		t.Errorf("%d bytes rewritten for %d saved, %d dead at worst", rewritten, saved, worst)
	}
}

// Claim: entries shrink when they take longer than the quickest did, down to a
// limit, grow again when they do not, and the pause follows what they take.
func TestPace(t *testing.T) {
	p := newPace()
	for range 100 {
		if pause := p.took(3 * time.Millisecond); pause != 3*time.Millisecond {
			t.Fatalf("pause of %s", pause)
		}
	}
	if p.numbers != maxNumbers {
		t.Fatalf("%d numbers when nothing is in the way", p.numbers)
	}
	if p.took(20 * time.Millisecond); p.numbers != maxNumbers*3/4 {
		t.Fatalf("%d numbers after a slow entry", p.numbers)
	}
	for range 20 {
		p.took(time.Minute)
	}
	if p.numbers != minNumbers || p.took(time.Minute) != maxPause {
		t.Fatalf("%d numbers after many", p.numbers)
	}
	slow := newPace() // a slow disk is no reason to stop
	for range 100 {
		slow.took(50 * time.Millisecond)
	}
	if slow.numbers != maxNumbers {
		t.Errorf("%d numbers where every entry takes 50 ms", slow.numbers)
	}
}

func TestSight(t *testing.T) {
	const mib = 1 << 20
	type step struct {
		disk, garbage, deletes uint64
		want                   action
	}
	for name, steps := range map[string][]step{
		"nothing":             {{100 * mib, 0, 0, wait}, {100 * mib, 0, 10, wait}},
		"too little":          {{1 * mib, mib / 2, 10, wait}},
		"much":                {{100 * mib, 25 * mib, 1_000_000, compact}},
		"some while deleting": {{100 * mib, 20 * mib, 1_000_000, wait}, {100 * mib, 20 * mib, 2_000_000, wait}},
		"some, when quiet":    {{100 * mib, 20 * mib, 1_000_000, wait}, {100 * mib, 20 * mib, 1_000_000, compact}},
		"deletes in memory":   {{100 * mib, 0, 50_000, wait}, {100 * mib, 0, 50_010, flush}, {100 * mib, 0, 50_010, wait}},
		"another store":       {{100 * mib, 0, 50_000, wait}, {100 * mib, 0, 10, wait}},
	} {
		var s sight
		for i, st := range steps {
			if got := s.next(engine.Metrics{DiskBytes: st.disk, GarbageBytes: st.garbage, Deletes: st.deletes}); got != st.want {
				t.Errorf("%s: step %d: %d, want %d", name, i, got, st.want)
			}
		}
	}
	// What a compaction could not give back is no reason for another one.
	var s sight
	s.done(engine.Metrics{DiskBytes: 10 * mib, GarbageBytes: 5 * mib})
	if got := s.next(engine.Metrics{DiskBytes: 10 * mib, GarbageBytes: 5 * mib}); got != wait {
		t.Errorf("compacts for ever: %d", got)
	}
	if got := s.next(engine.Metrics{DiskBytes: 10 * mib, GarbageBytes: 9 * mib}); got != compact {
		t.Errorf("new garbage does not count: %d", got)
	}
}

// fakeStore has garbage that a compaction of all its pieces frees.
type fakeStore struct {
	garbage, compacted, flushed atomic.Int64
	fail                        atomic.Bool
}

func (s *fakeStore) Metrics() (engine.Metrics, error) {
	return engine.Metrics{DiskBytes: 10 << 20, GarbageBytes: uint64(s.garbage.Load())}, nil
}

func (s *fakeStore) Flush() error { s.flushed.Add(1); return nil }

func (s *fakeStore) Pieces(uint64) ([]engine.Range, error) { return make([]engine.Range, 10), nil }

func (s *fakeStore) CompactPiece(context.Context, engine.Range) error {
	if s.fail.Load() {
		return errors.New("no")
	}
	time.Sleep(100 * time.Millisecond)
	if s.compacted.Add(1)%10 == 0 {
		s.garbage.Store(0)
	}
	return nil
}

// Claim: garbage is compacted once, with pauses of three times the work; a
// failure is tried again; Close ends it in the middle.
func TestCompactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{}
		c := StartCompactor(s, slog.New(slog.DiscardHandler))
		defer c.Close()
		time.Sleep(time.Minute)
		if c.Runs() != 0 || s.compacted.Load() != 0 {
			t.Fatal("compacted without garbage")
		}
		s.garbage.Store(8 << 20)
		s.fail.Store(true)
		time.Sleep(2 * lookEvery)
		s.fail.Store(false)
		start := time.Now()
		for c.Runs() == 0 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(start); took < 4*time.Second || took > 4*time.Second+stagger+lookEvery+10*time.Millisecond {
			t.Errorf("ten pieces of 100 ms took %s", took)
		}
		time.Sleep(time.Minute)
		if c.Runs() != 1 || s.compacted.Load() != 10 {
			t.Errorf("%d runs, %d pieces", c.Runs(), s.compacted.Load())
		}
		s.garbage.Store(8 << 20)
		for s.compacted.Load() < 13 {
			time.Sleep(time.Millisecond)
		}
		c.Close()
		if n := s.compacted.Load(); n != 13 {
			t.Errorf("%d pieces when it was closed within a run", n)
		}
	})
}
