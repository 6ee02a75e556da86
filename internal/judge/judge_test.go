// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

var epoch = time.Unix(1_700_000_000, 0)

// at is some time after the epoch.
func at(d time.Duration) time.Time { return epoch.Add(d) }

// noted returns a judge of results, one a second: "." is good, "x" is not, "s" is slow,
// "l" takes just as long as it may. The first one comes at the epoch.
func noted(t *testing.T, limits Limits, results string) *Judge {
	t.Helper()
	j, err := New(limits)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range results {
		r := Result{At: at(time.Duration(i) * time.Second), Took: time.Millisecond}
		switch c {
		case 'x':
			r.Problem = "broken"
		case 's':
			r.Took = 5*time.Second + time.Millisecond
		case 'l':
			r.Took = 5 * time.Second
		}
		j.Note(r)
	}
	return j
}

// Claim: a check fails by three failures in a row, or by half of at least ten results
// within the window; what takes more than 5 s is a failure. Each says why.
func TestJudge_Results(t *testing.T) {
	for name, c := range map[string]struct {
		limits  Limits
		results string
		now     time.Duration // 0: when the last one came
		inARow  int
		reasons []string // what each begins with
	}{
		"nothing":                        {results: ""},
		"all is well":                    {results: "...................."},
		"two in a row":                   {results: ".xx", inARow: 2},
		"three in a row":                 {results: ".xxx", inARow: 3, reasons: []string{"3 failures in a row: broken"}},
		"three, but not in a row":        {results: "x.x.x..........."},
		"it has come back":               {results: "........................xxx."},
		"of its own number":              {limits: Limits{Failures: 2}, results: ".xx", inARow: 2, reasons: []string{"2 failures in a row: broken"}},
		"slow ones":                      {results: ".sss", inARow: 3, reasons: []string{"3 failures in a row: took 5.001s, more than 5s"}},
		"just fast enough":               {results: ".lll"},
		"slow for its limit":             {limits: Limits{ResponseTime: time.Microsecond}, results: "...", inARow: 3, reasons: []string{"3 failures in a row: took 1ms"}},
		"half of ten":                    {results: ".x.x.x.x.x", inARow: 1, reasons: []string{"5 of 10 failed within 5m0s"}},
		"half of too few":                {results: "x.x.x.x.x", inARow: 1},
		"less than half":                 {results: ".x.x.x.x..x."},
		"a third":                        {limits: Limits{Rate: 0.3}, results: "..x..x..x.", reasons: []string{"3 of 10 failed"}},
		"both":                           {results: "...xxxxxxx", inARow: 7, reasons: []string{"7 failures in a row", "7 of 10 failed"}},
		"outside of the window":          {limits: Limits{Window: 11 * time.Second}, results: "xxxxxxxxxx..........", reasons: []string{}},
		"at the edge of the window":      {limits: Limits{Window: 20 * time.Second}, results: "xxxxxxxxxx..........", reasons: []string{"10 of 20 failed"}},
		"just over the edge":             {limits: Limits{Window: 19 * time.Second}, results: "xxxxxxxxxx.........."},
		"long ago, but nothing since":    {results: "xxx", now: time.Hour, inARow: 3, reasons: []string{"3 failures in a row"}},
		"a rate is forgotten after time": {results: ".x.x.x.x.x", now: time.Hour, inARow: 1},
	} {
		now := c.now
		if now == 0 {
			now = time.Duration(max(len(c.results)-1, 0)) * time.Second
		}
		v := noted(t, c.limits, c.results).Verdict(at(now))
		ok := slices.EqualFunc(v.Reasons, c.reasons, strings.HasPrefix)
		state := v.Trend.State
		if v.Failing {
			state = hawser.HealthUnhealthy
		}
		if got := noted(t, c.limits, c.results).State(at(now)); got != state {
			t.Errorf("%s: in short %s, at length %s", name, got, state)
		}
		if !ok || v.Failing != (len(c.reasons) > 0) || v.Failures != c.inARow || (v.Last == nil) != (c.results == "") {
			t.Errorf("%s: %+v, want %d in a row, reasons %q", name, v, c.inARow, c.reasons)
		}
	}
}

// Claim: the newest 100 results are kept, in order, and a copy is given out.
func TestJudge_KeepsAHundred(t *testing.T) {
	j := noted(t, Limits{Window: time.Hour}, strings.Repeat("x", 50)+strings.Repeat(".", 100))
	v := j.Verdict(at(149 * time.Second))
	list := j.Results()
	if len(list) != 100 || !list[0].At.Equal(at(50*time.Second)) || !list[99].At.Equal(at(149*time.Second)) || v.Trend.Sample != 100 || v.Trend.Share != 1 {
		t.Errorf("%d results from %v on, %+v", len(list), list[0].At, v.Trend)
	}
	list[99].Problem = "changed"
	if again := j.Verdict(at(149 * time.Second)); again.Failures != 0 {
		t.Error("a result was changed from outside")
	}
}

// Claim: what does not move its counter within the limit is stalled; any change of the
// counter is progress; declared waits do not count, however long they are, overlap,
// and begin or end out of turn.
func TestJudge_Progress(t *testing.T) {
	s := time.Second
	for name, c := range map[string]struct {
		do   func(*Judge)
		now  time.Duration
		idle time.Duration
	}{
		"not watched yet":        {func(*Judge) {}, time.Hour, 0},
		"waits only":             {func(j *Judge) { j.Wait(at(0)); j.Resume(at(s)) }, time.Hour, 0},
		"just begun":             {func(j *Judge) { j.Step(at(0), 0) }, 10 * s, 10 * s},
		"stalled from the start": {func(j *Judge) { j.Step(at(0), 0) }, 11 * s, 11 * s},
		"it moves":               {func(j *Judge) { j.Step(at(0), 0); j.Step(at(9*s), 1) }, 12 * s, 3 * s},
		"it stands":              {func(j *Judge) { j.Step(at(0), 7); j.Step(at(9*s), 7); j.Step(at(11*s), 7) }, 12 * s, 12 * s},
		"it begins again":        {func(j *Judge) { j.Step(at(0), 7); j.Step(at(9*s), 0) }, 12 * s, 3 * s},
		"it waits":               {func(j *Judge) { j.Step(at(0), 0); j.Wait(at(4 * s)) }, time.Hour, 4 * s},
		"it has waited":          {func(j *Judge) { j.Step(at(0), 0); j.Wait(at(4 * s)); j.Resume(at(100 * s)) }, 103 * s, 7 * s},
		"and stalls after":       {func(j *Judge) { j.Step(at(0), 0); j.Wait(at(4 * s)); j.Resume(at(100 * s)) }, 107 * s, 11 * s},
		"two waits": {func(j *Judge) {
			j.Step(at(0), 0)
			j.Wait(at(2 * s))
			j.Wait(at(3 * s))
			j.Resume(at(50 * s))
		}, time.Hour, 2 * s},
		"two waits, ended": {func(j *Judge) {
			j.Step(at(0), 0)
			j.Wait(at(2 * s))
			j.Wait(at(3 * s))
			j.Resume(at(50 * s))
			j.Resume(at(60 * s))
		}, 65 * s, 7 * s},
		"a step within a wait": {func(j *Judge) {
			j.Step(at(0), 0)
			j.Wait(at(2 * s))
			j.Step(at(30*s), 1)
			j.Resume(at(50 * s))
		}, 53 * s, 3 * s},
		"ended once too often": {func(j *Judge) { j.Step(at(0), 0); j.Resume(at(5 * s)); j.Wait(at(8 * s)) }, time.Hour, 8 * s},
		"a wait of no time":    {func(j *Judge) { j.Step(at(0), 0); j.Wait(at(8 * s)); j.Resume(at(7 * s)) }, 9 * s, 9 * s},
		"a time that lies":     {func(j *Judge) { j.Step(at(20*s), 0) }, 10 * s, 0},
	} {
		j, err := New(Limits{Progress: 10 * s})
		if err != nil {
			t.Fatal(err)
		}
		c.do(j)
		v := j.Verdict(at(c.now))
		if v.Idle != c.idle || v.Failing != (c.idle > 10*s) || v.Failing && !strings.HasPrefix(v.Reasons[0], "no step for "+c.idle.String()) {
			t.Errorf("%s: %+v, want idle for %v", name, v, c.idle)
		}
	}
	j, err := New(Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if j.Step(at(0), 0); j.Verdict(at(time.Hour)).Failing {
		t.Error("it stalls without a limit")
	}
}

// Claim: the trend is healthy from 0.95 on, degrading from 0.7 on, and not known of
// less than ten.
func TestTrend(t *testing.T) {
	for _, c := range []struct {
		good, sample int
		want         hawser.HealthState
	}{
		{0, 0, hawser.HealthUnknown},
		{9, 9, hawser.HealthUnknown},
		{0, 9, hawser.HealthUnknown},
		{10, 10, hawser.HealthHealthy},
		{19, 20, hawser.HealthHealthy},
		{95, 100, hawser.HealthHealthy},
		{100, 100, hawser.HealthHealthy},
		{94, 100, hawser.HealthDegrading},
		{9, 10, hawser.HealthDegrading},
		{7, 10, hawser.HealthDegrading},
		{70, 100, hawser.HealthDegrading},
		{69, 100, hawser.HealthUnhealthy},
		{0, 10, hawser.HealthUnhealthy},
		{0, 100, hawser.HealthUnhealthy},
	} {
		got := trend(c.good, c.sample, 10)
		if got.State != c.want || got.Sample != c.sample || c.sample > 0 && got.Share != float64(c.good)/float64(c.sample) {
			t.Errorf("%d of %d: %+v, want %s", c.good, c.sample, got, c.want)
		}
		if got.AtLeast < 0 || got.AtLeast > got.Share {
			t.Errorf("%d of %d: %v at least, a share of %v", c.good, c.sample, got.AtLeast, got.Share)
		}
	}
}

// Claim: the lower end is that of Wilson's interval: the values that Newcombe published
// ("Two-sided confidence intervals for the single proportion", Statistics in Medicine
// 17, 1998, table I, method 3), and n/(n+z^2) if all are good.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		good, sample int
		want         float64
	}{
		{81, 263, 0.2553},
		{15, 148, 0.0624},
		{0, 20, 0},
		{1, 29, 0.0061},
		{10, 10, 10 / (10 + 3.8415)},
		{100, 100, 100 / (100 + 3.8415)},
		{0, 0, 0},
	} {
		if got := wilson(c.good, c.sample); math.Abs(got-c.want) > 0.00005 {
			t.Errorf("%d of %d: %v, want %v", c.good, c.sample, got, c.want)
		}
	}
}

// Claim: the confidence means something: whatever the true share is from one half on, the lower end lies
// at or below it in at least 95 % of all samples of 10, 30 and 100 results. Method: the binomial distribution itself.
func TestWilson_Confidence(t *testing.T) {
	for _, n := range []int{10, 30, 100} {
		lowest := 1.0
		for p := 0.5; p < 0.9999; p += 0.0005 {
			held := 0.0
			for good := 0; good <= n; good++ {
				if wilson(good, n) <= p {
					held += math.Exp(choose(n, good) + float64(good)*math.Log(p) + float64(n-good)*math.Log1p(-p))
				}
			}
			lowest = min(lowest, held)
		}
		t.Logf("of %d: holds in %.4f of all samples at the lowest", n, lowest)
		if lowest < 0.95 {
			t.Errorf("of %d: holds in %v of all samples", n, lowest)
		}
	}
}

// choose returns the logarithm of a binomial coefficient.
func choose(n, k int) float64 {
	f := func(n int) float64 { v, _ := math.Lgamma(float64(n + 1)); return v }
	return f(n) - f(k) - f(n-k)
}

func TestNew_Refuses(t *testing.T) {
	for name, limits := range map[string]Limits{
		"failures": {Failures: -1}, "too many": {Failures: 101}, "rate": {Rate: 1.1}, "negative": {Rate: -1}, "no number": {Rate: math.NaN()},
		"window": {Window: -1}, "sample": {MinSample: 101}, "response": {ResponseTime: -1}, "progress": {Progress: -1},
	} {
		if _, err := New(limits); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Claim: a judge that is told to keep fewer results keeps the newest, in order, never
// fewer than a sample takes, and can be told to keep more again.
func TestJudge_Keep(t *testing.T) {
	j := noted(t, Limits{Window: time.Hour}, strings.Repeat(".", 130))
	for _, c := range []struct{ keep, more, first, len int }{
		{20, 0, 110, 20}, {20, 5, 115, 20}, {1, 0, 125, 10}, {1000, 50, 125, 60}, {1000, 100, 185, 100},
	} {
		j.Keep(c.keep)
		n := 130
		if list := j.Results(); len(list) > 0 {
			n = int(list[len(list)-1].At.Sub(epoch)/time.Second) + 1
		}
		for i := range c.more {
			j.Note(Result{At: at(time.Duration(n+i) * time.Second)})
		}
		list := j.Results()
		if len(list) != c.len || !list[0].At.Equal(at(time.Duration(c.first)*time.Second)) {
			t.Errorf("keep %d, %d more: %d from %v on", c.keep, c.more, len(list), list[0].At.Sub(epoch))
		}
		if j.Size() < 32*len(list) || j.text != 0 {
			t.Errorf("keep %d: %d bytes, %d of text", c.keep, j.Size(), j.text)
		}
		for i := 1; i < len(list); i++ {
			if list[i].At.Sub(list[i-1].At) != time.Second {
				t.Errorf("keep %d: out of order at %d", c.keep, i)
			}
		}
	}
}
