// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"testing"
	"time"
)

// bench is a clock with its surroundings under control: true time, and for each
// voter how far its wall clock is off.
type bench struct {
	clock  *Clock
	voters []string
	mono   time.Duration
	off    map[string]time.Duration
}

var epoch = time.Unix(1_800_000_000, 0)

func newBench(voters ...string) *bench {
	b := &bench{voters: voters, off: make(map[string]time.Duration)}
	b.clock = NewClock(ClockConfig{
		Self:      "a",
		Voters:    func() []string { return b.voters },
		Wall:      func() time.Time { return b.wall("a") },
		Monotonic: func() time.Duration { return b.mono },
	})
	return b
}

func (b *bench) truth() time.Time            { return epoch.Add(b.mono) }
func (b *bench) wall(voter string) time.Time { return b.truth().Add(b.off[voter]) }

func (b *bench) observe(voters ...string) {
	for _, v := range voters {
		b.clock.Observe(v, b.wall(v))
	}
}

// pass lets time go by with a term round each second, and checks that machine
// time never goes back and keeps to the limits of the slew.
func (b *bench) pass(t *testing.T, d time.Duration, answering ...string) {
	t.Helper()
	for range d / time.Second {
		before := b.clock.Stamp()
		b.mono += time.Second
		b.observe(answering...)
		step := time.Duration(b.clock.Stamp() - before)
		if step < 900*time.Millisecond || step > 1100*time.Millisecond {
			t.Fatalf("machine time moved by %v in a second", step)
		}
	}
}

// error is how far machine time is ahead of the truth.
func (b *bench) error() time.Duration { return time.Duration(b.clock.Stamp() - b.truth().UnixNano()) }

// Claim (DESIGN 7.7): with three voters no single wrong wall clock, whoever's
// it is and however wrong, moves machine time at the start of a leader or in
// the hour after it.
func TestClock_OneWrongClockOfThreeChangesNothing(t *testing.T) {
	for name, off := range map[string]time.Duration{
		"an hour ahead": time.Hour, "an hour behind": -time.Hour,
		"ten years ahead": 87600 * time.Hour, "ten years behind": -87600 * time.Hour,
		"centuries ahead": 1<<63 - 1, "before 1970": -1 << 63,
	} {
		for _, wrong := range []string{"a", "b", "c"} {
			t.Run(name+" on "+wrong, func(t *testing.T) {
				b := newBench("a", "b", "c")
				b.off[wrong] = off
				b.observe("b", "c")
				b.clock.Reset(b.truth().Add(-time.Minute))
				b.pass(t, time.Hour, "b", "c")
				if e := b.error(); e != 0 {
					t.Errorf("machine time is off by %v, want 0", e)
				}
			})
		}
	}
}

// Claim: with one voter silent the lower of two clocks governs, so that a clock
// which is ahead still moves nothing forward.
func TestClock_WrongClockAheadWithOneVoterSilentChangesNothing(t *testing.T) {
	b := newBench("a", "b", "c")
	b.off["b"] = 24 * time.Hour
	b.observe("b")
	b.clock.Reset(b.truth())
	b.pass(t, 10*time.Minute, "b")
	if e := b.error(); e != 0 {
		t.Errorf("machine time is off by %v, want 0", e)
	}
}

// Claim: what two of three agree on is followed, at a tenth of the time that
// passes, in both directions, and then held.
func TestClock_SlewsTowardTheMedianByATenth(t *testing.T) {
	for _, off := range []time.Duration{30 * time.Second, -30 * time.Second} {
		b := newBench("a", "b", "c")
		b.observe("b", "c")
		b.clock.Reset(b.truth())
		b.off["a"], b.off["b"] = off, off
		b.observe("b", "c")
		b.pass(t, 100*time.Second, "b", "c")
		if e := b.error(); e != off/3 {
			t.Errorf("offset %v: after 100 s machine time is off by %v, want %v", off, e, off/3)
		}
		b.pass(t, 300*time.Second, "b", "c")
		if e := b.error(); e != off {
			t.Errorf("offset %v: after 400 s machine time is off by %v, want all of it", off, e)
		}
	}
}

// Claim: an answer counts for one minute; without answers of a majority there
// is no slew, and Reset does not step.
func TestClock_StaleAnswersDoNotCount(t *testing.T) {
	b := newBench("a", "b", "c")
	b.clock.Reset(b.truth())
	b.off["a"], b.off["b"] = time.Hour, time.Hour
	b.observe("b")
	b.pass(t, 60*time.Second)
	if e := b.error(); e != 6*time.Second {
		t.Errorf("after a minute machine time is off by %v, want 6s", e)
	}
	b.pass(t, 10*time.Minute)
	if e := b.error(); e != 6*time.Second {
		t.Errorf("stale answers moved machine time: off by %v, want 6s", e)
	}
	if _, known := b.clock.Median(); known {
		t.Error("a median is known without a majority of fresh answers")
	}
	previous := b.truth().Add(-time.Hour)
	if got := b.clock.Reset(previous); got != previous.UnixNano() {
		t.Errorf("Reset without a majority steps to %v, want %v", time.Unix(0, got), previous)
	}
}

// Claim: Reset steps forward to the median, never back from the machine's time.
func TestClock_ResetStepsForwardOnly(t *testing.T) {
	for name, c := range map[string]struct{ previous, want time.Duration }{
		"machine behind": {-time.Hour, 0},
		"machine equal":  {0, 0},
		"machine ahead":  {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench("a", "b", "c")
			b.observe("b", "c")
			got := b.clock.Reset(b.truth().Add(c.previous))
			if want := b.truth().Add(c.want).UnixNano(); got != want {
				t.Errorf("Reset gives %v, want %v", time.Unix(0, got), time.Unix(0, want))
			}
			b.pass(t, time.Minute, "b", "c")
		})
	}
	b := newBench("a", "b", "c")
	b.observe("b", "c")
	if got := b.clock.Reset(time.Time{}); got != b.truth().UnixNano() {
		t.Errorf("the first leader of all starts at %v, want the median", time.Unix(0, got))
	}
}

// Claim: a leader whose machine was behind when it started goes on from where
// its predecessor got, and a lower Raise moves nothing.
func TestClock_RaiseContinuesThePredecessor(t *testing.T) {
	b := newBench("a", "b", "c")
	b.clock.Reset(b.truth())
	reached := b.truth().Add(time.Minute)
	b.clock.Raise(reached)
	b.clock.Raise(reached.Add(-time.Second))
	if got := b.clock.Stamp(); got != reached.UnixNano() {
		t.Errorf("clock at %v, want %v", time.Unix(0, got), reached)
	}
	b.mono += time.Second
	if got := b.clock.Stamp(); got != reached.Add(time.Second).UnixNano() {
		t.Errorf("clock at %v a second later", time.Unix(0, got))
	}
}

// Claim: a change of leader, each with its own monotonic clock and one of them
// with a wrong wall clock, never takes machine time back and never off the truth.
func TestClock_LeaderChange(t *testing.T) {
	machine := time.Time{}
	off := map[string]time.Duration{"b": -9 * time.Hour}
	for i, origin := range []time.Duration{0, 77 * time.Hour, 3 * time.Second} {
		b := newBench("a", "b", "c")
		truth := epoch.Add(time.Duration(i) * time.Hour)
		b.off = off
		b.clock.cfg.Monotonic = func() time.Duration { return origin + b.mono }
		b.clock.cfg.Wall = func() time.Time { return truth.Add(b.mono) }
		for range 1800 {
			b.clock.Observe("b", truth.Add(b.mono+off["b"]))
			b.clock.Observe("c", truth.Add(b.mono))
			if b.mono == 0 {
				if stamp := b.clock.Reset(machine); stamp < unixNano(machine) {
					t.Fatalf("leader %d starts at %v, before %v", i, time.Unix(0, stamp), machine)
				}
			}
			machine = time.Unix(0, max(unixNano(machine), b.clock.Stamp()))
			if got := machine.Sub(truth.Add(b.mono)); got != 0 {
				t.Fatalf("leader %d after %v: machine time is off by %v", i, b.mono, got)
			}
			b.mono += time.Second
		}
	}
}

// Claim: a single voter depends on its own clock, at the pace of the slew.
func TestClock_SingleVoterFollowsItsOwnClock(t *testing.T) {
	b := newBench("a")
	b.off["a"] = -time.Hour
	if got, want := b.clock.Reset(time.Time{}), b.wall("a").UnixNano(); got != want {
		t.Errorf("starts at %v, want its own clock", time.Unix(0, got))
	}
	b.off["a"] += 10 * time.Second
	b.pass(t, 100*time.Second)
	if e := b.error(); e != -time.Hour+10*time.Second {
		t.Errorf("off by %v, want -1h+10s", e)
	}
}

// Claim: only voters count, by the configuration of the moment.
func TestClock_OnlyVotersCount(t *testing.T) {
	b := newBench("a", "b", "c")
	b.off["x"], b.off["b"], b.off["c"] = time.Hour, time.Minute, time.Minute
	b.observe("x", "b", "c")
	if m, ok := b.clock.Median(); !ok || !m.Equal(b.wall("b")) {
		t.Errorf("median %v %v, want that of b and c", m, ok)
	}
	b.voters = []string{"a", "d", "e"}
	if _, ok := b.clock.Median(); ok {
		t.Error("answers of former voters make a majority")
	}
	b.observe("d")
	if len(b.clock.samples) != 1 {
		t.Errorf("%d answers kept, want those of voters only", len(b.clock.samples))
	}
}

// Claim: a monotonic clock that stands still, and one voter's answer per
// stamp, never move machine time back.
func FuzzClock_NeverGoesBack(f *testing.F) {
	f.Add([]byte{0, 1, 2, 250, 17, 3, 99, 200, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBench("a", "b", "c")
		last := b.clock.Reset(epoch)
		for i := 0; i+2 < len(script); i += 3 {
			b.mono += time.Duration(script[i]) * 37 * time.Millisecond
			voter := b.voters[int(script[i+1])%3]
			b.off[voter] = time.Duration(int8(script[i+2])) * time.Hour * 1000
			b.observe(voter)
			stamp := b.clock.Stamp()
			if stamp < last {
				t.Fatalf("step %d: stamp %d after %d", i, stamp, last)
			}
			last = stamp
		}
	})
}

// Claim: an answer governs only the time after it, however long no stamp was
// needed before.
func TestClock_AnswersGovernOnlyWhatFollows(t *testing.T) {
	b := newBench("a", "b", "c")
	b.observe("b", "c")
	b.clock.Reset(b.truth())
	for range 1000 {
		b.mono += time.Second
		b.observe("b", "c")
	}
	b.off["a"], b.off["b"], b.off["c"] = time.Hour, time.Hour, time.Hour
	b.observe("b", "c")
	if e := b.error(); e != 0 {
		t.Errorf("machine time is off by %v at once", e)
	}
}
