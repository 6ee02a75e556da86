// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lease

import "time"

const (
	// tick is how often deadlines are looked at, and so how late they are
	// noticed at most.
	tick = 20 * time.Millisecond
	// slots times tick is how far ahead the wheel reaches. What is due later is
	// looked at once in a turn.
	slots = 512
)

// timer is something that is due once. Its fields belong to the table.
type timer struct {
	// due may be moved at will while the timer is in the wheel, but not to
	// before the slot that it is in: to a later time it just is.
	due time.Duration
	// dropped: it is of no interest any more and leaves the wheel when its slot
	// comes.
	dropped bool
	// Exactly one is set.
	lease  *lease
	ending *ending
}

// wheel holds timers by when they have to be looked at. Times are the table's.
// The zero value is empty.
type wheel struct {
	slots [slots][]*timer
	// at is the slot that was looked at last, counted from time 0.
	at int64
	// held counts the timers, those dropped included.
	held int
}

// add puts t in. It must not be in.
func (w *wheel) add(t *timer) {
	slot := int64((t.due + tick - 1) / tick)
	slot = min(max(slot, w.at+1), w.at+slots-1)
	w.slots[slot%slots] = append(w.slots[slot%slots], t)
	w.held++
}

// advance moves the wheel to now and calls fire for each timer that is due,
// which is then out of the wheel.
func (w *wheel) advance(now time.Duration, fire func(*timer)) {
	target := int64(now / tick)
	if w.held == 0 {
		w.at = max(w.at, target)
		return
	}
	w.at = max(w.at, target-slots) // no slot need be looked at twice
	for w.at < target {
		w.at++
		w.look(now, fire)
	}
}

// look goes through the slot at w.at.
func (w *wheel) look(now time.Duration, fire func(*timer)) {
	slot := w.at % slots
	timers := w.slots[slot]
	w.slots[slot] = nil
	w.held -= len(timers)
	for _, t := range timers {
		switch {
		case t.dropped:
		case t.due <= now:
			fire(t)
		default:
			w.add(t)
		}
	}
	clear(timers)
	w.slots[slot] = timers[:0] // no timer was put back into it: see add
}
