// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package judge says what the results of checks, and a counter of steps, come to. It
// has no clock and no goroutine: times are passed in, so that an instance can judge
// itself and a leader can judge instances by the same rules.
package judge

import (
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// maxResults is how many results a judge keeps, the newest.
const maxResults = 100

// Limits say what is a failure. Zero values are the defaults that are named.
type Limits struct {
	// Failures in a row fail a check; 3.
	Failures int
	// Rate is the part of the results within Window that fails a check if they are
	// MinSample or more; 0.5 within 5 minutes.
	Rate   float64
	Window time.Duration
	// MinSample is how many results there must be within Window for a rate and a trend;
	// 10: if all of those are good, 0.72 of many would be at least, with 95 % confidence.
	MinSample int
	// ResponseTime is how long a check may take: one that takes longer has failed; 5 s.
	ResponseTime time.Duration
	// Progress is how long the counter of steps may stand still; 0 is for ever.
	Progress time.Duration
}

// withDefaults returns the limits with their defaults, or what is wrong with them.
func (l Limits) withDefaults() (Limits, error) {
	orDefault(&l.Failures, 3)
	orDefault(&l.Rate, 0.5)
	orDefault(&l.Window, 5*time.Minute)
	orDefault(&l.MinSample, 10)
	orDefault(&l.ResponseTime, 5*time.Second)
	bad := ""
	switch {
	case l.Failures < 1 || l.Failures > maxResults || l.MinSample < 1 || l.MinSample > maxResults:
		bad = fmt.Sprintf("%d failures and a sample of %d: both must lie between 1 and the %d results that are kept", l.Failures, l.MinSample, maxResults)
	case !(l.Rate > 0 && l.Rate <= 1):
		bad = fmt.Sprintf("a failure rate of %v must lie above 0 and be at most 1", l.Rate)
	case l.Window < 0 || l.ResponseTime < 0 || l.Progress < 0:
		bad = "times must not be negative"
	}
	if bad != "" {
		return l, &hawser.Error{Code: hawser.CodeInvalid, Op: "health limits", Msg: bad}
	}
	return l, nil
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Result is what came of one run of a check.
type Result struct {
	// At is when it ended, and Took how long it took.
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
	// Problem is what was wrong, "" for nothing.
	Problem string `json:"problem,omitempty"`
}

// Verdict is what results and steps come to at one time.
type Verdict struct {
	// Failing: it is not well, for Reasons, one for each limit that is exceeded.
	Failing bool     `json:"failing"`
	Reasons []string `json:"reasons,omitempty"`
	// Failures are those in a row, up to now.
	Failures int `json:"failures"`
	// Idle is for how long there was no step, declared waits left out; 0 before the
	// first, and without a limit.
	Idle  time.Duration      `json:"idle_ns,omitempty"`
	Trend hawser.HealthTrend `json:"trend"`
	// Last is the newest result, nil if there is none.
	Last *Result `json:"last,omitempty"`
}

// Judge holds results and steps up to limits. It reads no clock. Times may be passed in
// out of order by a little: what is newest is what was noted last. It is not safe for
// concurrent use. Make one with [New].
type Judge struct {
	limits Limits
	// base is the time of the first result: the others are kept by how long after it
	// they came, which is half the size.
	base     time.Time
	results  []kept // a ring once it is full; the oldest is at next
	next     int
	keep     int
	text     int // bytes of the problems that are kept
	progress progress
}

// kept is a result as it is kept.
type kept struct {
	after, took time.Duration
	problem     string
}

// keptSize is what a result takes, in bytes, without its text.
const keptSize = 32

// Size is about what the results take, in bytes.
func (j *Judge) Size() int { return cap(j.results)*keptSize + j.text }

// New returns a judge that knows nothing yet. Errors match hawser.ErrInvalid.
func New(limits Limits) (*Judge, error) {
	limits, err := limits.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Judge{limits: limits, keep: maxResults}, nil
}

// Keep has no more than the newest n results kept from now on, at least as many as a
// sample needs and at most 100.
func (j *Judge) Keep(n int) {
	n = min(max(n, j.limits.MinSample, j.limits.Failures), maxResults)
	if n == j.keep {
		return
	}
	ordered := make([]kept, 0, n)
	for i := range len(j.results) {
		if k := j.at(i); len(j.results)-i > n {
			j.text -= len(k.problem)
		} else {
			ordered = append(ordered, *k)
		}
	}
	j.keep, j.results, j.next = n, ordered, 0
}

// at returns a result that is kept, the oldest first.
func (j *Judge) at(i int) *kept { return &j.results[(j.next+i)%len(j.results)] }

// Note notes a result. If it took too long, that is a problem of it. The newest 100
// are kept.
func (j *Judge) Note(r Result) {
	if r.Problem == "" && r.Took > j.limits.ResponseTime {
		r.Problem = fmt.Sprintf("took %v, more than %v", r.Took.Round(time.Millisecond), j.limits.ResponseTime)
	}
	if len(j.results) == 0 {
		j.base = r.At
	}
	k := kept{r.At.Sub(j.base), r.Took, r.Problem}
	j.text += len(k.problem)
	if len(j.results) < j.keep {
		j.results = append(j.results, k)
		return
	}
	j.text -= len(j.results[j.next].problem)
	j.results[j.next] = k
	j.next = (j.next + 1) % len(j.results)
}

// Results returns the results that are kept, the oldest first.
func (j *Judge) Results() []Result {
	list := make([]Result, len(j.results))
	for i := range list {
		list[i] = j.result(j.at(i))
	}
	return list
}

func (j *Judge) result(k *kept) Result {
	return Result{At: j.base.Add(k.after), Took: k.took, Problem: k.problem}
}

// Passed reports whether one of the results that are kept is good.
func (j *Judge) Passed() bool {
	for i := range j.results {
		if j.results[i].problem == "" {
			return true
		}
	}
	return false
}

// Expect sets how long the counter of steps may stand still; 0 is for ever.
func (j *Judge) Expect(progress time.Duration) { j.limits.Progress = max(progress, 0) }

// Step notes the counter of steps. Progress is watched from the first call on, and
// shown by any change of the counter.
func (j *Judge) Step(at time.Time, counter uint64) { j.progress.step(at, counter) }

// Wait notes that no step is to be expected until Resume is called as often as Wait:
// for a message, for example. The limit does not run meanwhile, however long that is.
func (j *Judge) Wait(at time.Time) { j.progress.wait(at) }

// Resume ends a Wait.
func (j *Judge) Resume(at time.Time) { j.progress.resume(at) }

// Verdict judges what was noted, as of now.
func (j *Judge) Verdict(now time.Time) Verdict {
	b := j.weigh(now)
	v := Verdict{Failures: b.inARow, Trend: trend(b.good, b.sample, j.limits.MinSample), Idle: b.idle}
	if n := len(j.results); n > 0 {
		last := j.result(j.at(n - 1))
		v.Last = &last
	}
	if b.streak {
		v.because("%d failures in a row: %s", v.Failures, v.Last.Problem)
	}
	if b.rate {
		v.because("%d of %d failed within %v", b.sample-b.good, b.sample, j.limits.Window)
	}
	if b.stalled {
		v.because("no step for %v, more than %v", v.Idle.Round(time.Millisecond), j.limits.Progress)
	}
	return v
}

func (v *Verdict) because(format string, args ...any) {
	v.Failing = true
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

// State is that of the [Verdict], without its texts: unhealthy if it fails, else as the
// trend is.
func (j *Judge) State(now time.Time) hawser.HealthState {
	b := j.weigh(now)
	if b.streak || b.rate || b.stalled {
		return hawser.HealthUnhealthy
	}
	return stateOf(b.good, b.sample, j.limits.MinSample)
}

// balance is what there is to judge, and which limits are exceeded.
type balance struct {
	good, sample, inARow  int
	idle                  time.Duration
	streak, rate, stalled bool
}

func (j *Judge) weigh(now time.Time) balance {
	b := balance{inARow: j.inARow()}
	b.good, b.sample = j.count(now)
	b.streak = b.inARow >= j.limits.Failures
	b.rate = b.sample >= j.limits.MinSample && float64(b.sample-b.good) >= j.limits.Rate*float64(b.sample)
	if j.limits.Progress > 0 {
		b.idle = j.progress.idle(now)
		b.stalled = b.idle > j.limits.Progress
	}
	return b
}

// count counts the results within the window, and those of them that are good.
func (j *Judge) count(now time.Time) (good, sample int) {
	from := now.Sub(j.base) - j.limits.Window
	for i := range j.results {
		k := &j.results[i]
		if k.after <= from {
			continue
		}
		if sample++; k.problem == "" {
			good++
		}
	}
	return good, sample
}

// inARow counts the failures since the last good result.
func (j *Judge) inARow() int {
	for i := range j.results {
		if j.at(len(j.results)-1-i).problem == "" {
			return i
		}
	}
	return len(j.results)
}
