// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

// keptOf shows the versions, oldest first, to a keeper and returns the numbers it keeps.
func keptOf(versions []candidate, rules hawser.Retention, now time.Time) []uint64 {
	var kept []uint64
	k := newKeeper(rules, now)
	for _, v := range slices.Backward(versions) {
		if k.keep(v) {
			kept = append(kept, v.number)
		}
	}
	slices.Reverse(kept)
	return kept
}

// The rules keep what restic's would, by hand-made examples.
func TestKeeper(t *testing.T) {
	// 1 to 10: Sunday to Monday over a change of the ISO year, as RFC 3339.
	stamps := []string{
		"2024-12-22T23:30:00Z", "2024-12-28T10:00:00Z", "2024-12-28T10:59:59Z", "2024-12-28T11:00:00Z", "2024-12-29T23:59:59Z",
		"2024-12-30T00:00:00Z", "2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:01Z", "2025-01-06T00:00:00Z",
	}
	now := parseTime(t, "2025-01-06T12:00:00Z")
	versions := make([]candidate, len(stamps))
	for i, s := range stamps {
		versions[i] = candidate{number: uint64(i + 1), created: parseTime(t, s).UnixNano()}
	}
	for name, tc := range map[string]struct {
		rules  hawser.Retention
		change func(v []candidate)
		want   []uint64
	}{
		"no rules keep all": {want: []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"last":              {rules: hawser.Retention{KeepLast: 3}, want: []uint64{8, 9, 10}},
		"last of few":       {rules: hawser.Retention{KeepLast: math.MaxUint64}, want: []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"within":            {rules: hawser.Retention{KeepWithin: 6*24*time.Hour + 12*time.Hour}, want: []uint64{7, 8, 9, 10}},
		"within, on the border": {
			rules: hawser.Retention{KeepWithin: 5*24*time.Hour + 12*time.Hour}, want: []uint64{8, 9, 10},
		},
		"within nothing keeps the head": {rules: hawser.Retention{KeepWithin: time.Second}, want: []uint64{10}},
		"hourly":                        {rules: hawser.Retention{KeepHourly: 4}, want: []uint64{6, 7, 9, 10}},
		"hourly, newest of the hour":    {rules: hawser.Retention{KeepHourly: 7}, want: []uint64{3, 4, 5, 6, 7, 9, 10}},
		"daily":                         {rules: hawser.Retention{KeepDaily: 5}, want: []uint64{5, 6, 7, 9, 10}},
		"weekly over the new year":      {rules: hawser.Retention{KeepWeekly: 3}, want: []uint64{5, 9, 10}},
		"weekly, more than there are":   {rules: hawser.Retention{KeepWeekly: 9}, want: []uint64{1, 5, 9, 10}},
		"union":                         {rules: hawser.Retention{KeepLast: 2, KeepDaily: 3, KeepWeekly: 4}, want: []uint64{1, 5, 7, 9, 10}},
		"pinned": {
			rules: hawser.Retention{KeepLast: 2}, change: func(v []candidate) { v[3].pinned = true }, want: []uint64{4, 9, 10},
		},
		"a pinned version counts": {
			rules: hawser.Retention{KeepLast: 2}, change: func(v []candidate) { v[8].pinned = true }, want: []uint64{9, 10},
		},
		"bad head": {
			rules: hawser.Retention{KeepLast: 1}, change: func(v []candidate) { v[9].bad, v[8].bad = true, true }, want: []uint64{8, 10},
		},
		"bad versions count": {
			rules: hawser.Retention{KeepLast: 3}, change: func(v []candidate) { v[8].bad = true }, want: []uint64{8, 9, 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			shown := slices.Clone(versions)
			if tc.change != nil {
				tc.change(shown)
			}
			if got := keptOf(shown, tc.rules, now); !slices.Equal(got, tc.want) {
				t.Errorf("keeps %v, want %v", got, tc.want)
			}
		})
	}
}

// Periods are those of the calendar in package time, also before 1970.
func TestKeeper_PeriodsAreOfTheCalendar(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		a := rng.Int64N(math.MaxInt64/2) - math.MaxInt64/4
		b := a + rng.Int64N(int64(20*24*time.Hour))
		ta, tb := time.Unix(0, a).UTC(), time.Unix(0, b).UTC()
		ya, wa := ta.ISOWeek()
		yb, wb := tb.ISOWeek()
		if same := ya == yb && wa == wb; (week(a) == week(b)) != same {
			t.Fatalf("%v and %v: same week must be %v", ta, tb, same)
		}
		if same := ta.Truncate(24 * time.Hour).Equal(tb.Truncate(24 * time.Hour)); (day(a) == day(b)) != same {
			t.Fatalf("%v and %v: same day must be %v", ta, tb, same)
		}
		if same := ta.Truncate(time.Hour).Equal(tb.Truncate(time.Hour)); (hour(a) == hour(b)) != same {
			t.Fatalf("%v and %v: same hour must be %v", ta, tb, same)
		}
	}
}

// Whatever the rules: the head, the pinned and the newest restorable version
// stay; the union of rules keeps the union of what each keeps; and a second
// look at what was kept removes nothing more, so that a pass comes to an end.
func TestKeeper_Properties(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 2_000 {
		versions := randomCandidates(rng)
		now := time.Unix(0, versions[len(versions)-1].created+rng.Int64N(int64(time.Hour)))
		rules := randomRules(rng, now.Sub(time.Unix(0, versions[0].created)))
		kept := keptOf(versions, rules, now)
		union := map[uint64]bool{}
		for _, one := range []hawser.Retention{
			{KeepLast: rules.KeepLast}, {KeepWithin: rules.KeepWithin}, {KeepHourly: rules.KeepHourly}, {KeepDaily: rules.KeepDaily}, {KeepWeekly: rules.KeepWeekly},
		} {
			if one.KeepsAll() && !rules.KeepsAll() {
				continue // the rule is not set
			}
			for _, n := range keptOf(versions, one, now) {
				union[n] = true
			}
		}
		if len(union) != len(kept) {
			t.Fatalf("%+v of %+v keeps %v, each rule alone %v", rules, versions, kept, union)
		}
		var left []candidate
		good := false
		for _, v := range slices.Backward(versions) {
			must := len(left) == 0 || v.pinned || !v.bad && !good
			good = good || !v.bad
			if stays := slices.Contains(kept, v.number); stays {
				left = append(left, v)
			} else if must {
				t.Fatalf("%+v of %+v drops %d", rules, versions, v.number)
			}
		}
		slices.Reverse(left)
		if again := keptOf(left, rules, now); !slices.Equal(again, kept) {
			t.Fatalf("%+v: %v, then %v", rules, kept, again)
		}
	}
}

func randomCandidates(rng *rand.Rand) []candidate {
	versions := make([]candidate, 1+rng.IntN(60))
	created, step := rng.Int64N(1<<60), int64(time.Minute)<<rng.IntN(12)
	for i := range versions {
		created += rng.Int64N(step)
		versions[i] = candidate{number: uint64(i + 1), created: created, pinned: rng.IntN(10) == 0, bad: rng.IntN(10) == 0}
	}
	return versions
}

func randomRules(rng *rand.Rand, span time.Duration) hawser.Retention {
	pick := func() uint64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.Uint64N(20)
	}
	r := hawser.Retention{KeepLast: pick(), KeepHourly: pick(), KeepDaily: pick(), KeepWeekly: pick()}
	if rng.IntN(2) == 0 {
		r.KeepWithin = time.Duration(rng.Int64N(int64(span) + 1))
	}
	return r
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
