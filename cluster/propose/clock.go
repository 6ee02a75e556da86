// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxSampleAge is how long a voter's answer about its clock counts.
	maxSampleAge = time.Minute
	// slewDivisor bounds the slew: at most a tenth of the elapsed time.
	slewDivisor = 10
	// maxWall bounds what is believed of a wall clock (the year 2116), so that
	// sums with elapsed time cannot overflow.
	maxWall = int64(1) << 62
)

// ClockConfig configures a [Clock].
type ClockConfig struct {
	// Self is the node's own id. Its wall clock needs no Observe.
	Self string
	// Voters returns the ids of the voters of the latest configuration. It is
	// called often and must be quick.
	Voters func() []string
	// Wall reads the own wall clock. Default: time.Now.
	Wall func() time.Time
	// Monotonic reads a clock that runs evenly and never goes back, from any
	// origin. Default: the runtime's monotonic clock.
	Monotonic func() time.Duration
}

// Clock makes machine time, the only time that the state machine knows, for
// the node that leads.
//
// Machine time goes on with the monotonic clock of the leader, slewed by at
// most a tenth toward the lower median of the voters' wall clocks. Only Reset,
// for the entry with which a leader starts, steps further, and only forward.
// The median is taken over the newest answer of each voter, none older than a
// minute, the own clock included; without answers of a majority there is
// neither slew nor step. So one wrong wall clock of three, the leader's own
// too, changes nothing, while a single voter depends on its own clock.
//
// Safe for concurrent use. The zero value is not usable.
type Clock struct {
	cfg ClockConfig

	mu      sync.Mutex
	now     int64         // machine time at the reading at, unix ns
	at      time.Duration // monotonic reading that belongs to now
	samples map[string]sample
}

// sample is a voter's answer: its wall clock at a monotonic reading of ours.
type sample struct {
	wall int64
	at   time.Duration
}

// NewClock returns a clock that stands at zero until Reset.
func NewClock(cfg ClockConfig) *Clock {
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.Monotonic == nil {
		origin := time.Now()
		cfg.Monotonic = func() time.Duration { return time.Since(origin) }
	}
	return &Clock{cfg: cfg, at: cfg.Monotonic(), samples: make(map[string]sample)}
}

// Observe takes the wall clock that a voter answered just now. Answers of
// nodes that are not voters are dropped, as is the node's own, which is read
// directly.
func (c *Clock) Observe(voter string, wall time.Time) {
	voters := c.cfg.Voters()
	if voter == c.cfg.Self || !slices.Contains(voters, voter) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanceLocked(voters) // what has passed was governed by the older answers
	for id := range c.samples {
		if !slices.Contains(voters, id) {
			delete(c.samples, id)
		}
	}
	c.samples[voter] = sample{wall: unixNano(wall), at: c.cfg.Monotonic()}
}

// Stamp returns the machine time now, in unix nanoseconds. It never returns
// less than it or Reset returned before, except after a Reset.
func (c *Clock) Stamp() int64 {
	voters := c.cfg.Voters()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanceLocked(voters)
	return c.now
}

// Reset starts the clock anew, for the entry with which this node starts to
// lead, and returns the stamp for that entry: the machine time previous, or
// the median of the voters' wall clocks if that is known and later.
func (c *Clock) Reset(previous time.Time) int64 {
	voters := c.cfg.Voters()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.at = unixNano(previous), c.cfg.Monotonic()
	if median, ok := c.medianLocked(voters, c.at); ok {
		c.now = max(c.now, median)
	}
	return c.now
}

// Raise moves the clock up to the machine time reached, and does nothing when
// it is past it. A new leader calls it once its first entry is applied: until
// then its own machine may not know how far its predecessor got.
func (c *Clock) Raise(reached time.Time) {
	voters := c.cfg.Voters()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanceLocked(voters)
	c.now = max(c.now, unixNano(reached))
}

// Median returns the lower median of the voters' wall clocks, and whether
// enough of them are known.
func (c *Clock) Median() (time.Time, bool) {
	voters := c.cfg.Voters()
	c.mu.Lock()
	defer c.mu.Unlock()
	median, ok := c.medianLocked(voters, c.cfg.Monotonic())
	return time.Unix(0, median), ok
}

// advanceLocked moves the clock on by the time elapsed, slewed.
func (c *Clock) advanceLocked(voters []string) {
	at := c.cfg.Monotonic()
	elapsed := int64(at - c.at)
	if elapsed <= 0 {
		return
	}
	next := c.now + elapsed
	if median, ok := c.medianLocked(voters, at); ok {
		limit := elapsed / slewDivisor
		next += min(max(median-next, -limit), limit)
	}
	c.now, c.at = next, at
}

// medianLocked returns the lower median of the voters' wall clocks as they
// should stand at the reading at, if a majority is known.
func (c *Clock) medianLocked(voters []string, at time.Duration) (median int64, ok bool) {
	var array [9]int64 // room for usual clusters without an allocation
	walls := array[:0]
	for _, voter := range voters {
		if voter == c.cfg.Self {
			walls = append(walls, unixNano(c.cfg.Wall()))
			continue
		}
		s, known := c.samples[voter]
		if age := at - s.at; known && age <= maxSampleAge {
			walls = append(walls, s.wall+int64(age))
		}
	}
	if len(walls) < len(voters)/2+1 {
		return 0, false
	}
	slices.Sort(walls)
	return walls[(len(walls)-1)/2], true
}

// unixNano returns t in unix nanoseconds, within [0, maxWall].
func unixNano(t time.Time) int64 {
	switch seconds := t.Unix(); {
	case seconds < 0:
		return 0
	case seconds >= maxWall/int64(time.Second):
		return maxWall
	}
	return t.UnixNano()
}
