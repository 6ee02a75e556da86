// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A timer fires once, not before it is due, and at most a tick after that was
// noticed, however far ahead it is and however often it was moved.
func TestWheel_FiresWhenDue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w wheel
	const end = 40 * time.Second
	due := map[*timer]time.Duration{}
	fired := map[*timer]bool{}
	var now time.Duration
	for now < end {
		for range random.IntN(4) {
			m := &timer{due: now + time.Duration(random.Int64N(int64(25*time.Second)))}
			w.add(m)
			due[m] = m.due
		}
		for m := range due {
			if !fired[m] && random.IntN(200) == 0 {
				m.due += time.Duration(random.Int64N(int64(3 * time.Second)))
				due[m] = m.due
			}
		}
		step := time.Duration(random.Int64N(int64(3 * tick)))
		if random.IntN(100) == 0 {
			step += time.Duration(random.Int64N(int64(15 * time.Second)))
		}
		now += step
		w.advance(now, func(m *timer) {
			if fired[m] || due[m] > now {
				t.Fatalf("at %v fired what is due at %v; twice: %v", now, due[m], fired[m])
			}
			fired[m] = true
		})
		for m, d := range due {
			if !fired[m] && d+tick <= now {
				t.Fatalf("at %v what was due at %v has not fired", now, d)
			}
			if fired[m] {
				delete(due, m)
				delete(fired, m)
			}
		}
	}
	if w.held != len(due) {
		t.Fatalf("it holds %d timers, %d are to come", w.held, len(due))
	}
}

// What was dropped does not fire and does not stay.
func TestWheel_ForgetsWhatWasDropped(t *testing.T) {
	var w wheel
	for i := range 1000 {
		w.add(&timer{due: time.Duration(i) * time.Second, dropped: true})
	}
	for now := time.Duration(0); now <= (slots+1)*tick; now += tick {
		w.advance(now, func(*timer) { t.Fatal("fired") })
	}
	if w.held != 0 {
		t.Fatalf("it holds %d", w.held)
	}
}
