// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

// Claim: --keep-within takes weeks, days and Go's units together, and a policy
// is printed as it may be typed.
func TestRetention_Age(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  time.Duration
		shown string
	}{
		{"30d", 30 * day, "30d"},
		{"2w", 14 * day, "2w"},
		{"14d", 14 * day, "2w"},
		{"1w2d", 9 * day, "9d"},
		{"1d12h", 36 * time.Hour, "1d12h"},
		{"1w1d1h1m1s", 8*day + time.Hour + time.Minute + time.Second, "8d1h1m1s"},
		{"720h", 30 * day, "30d"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"1d10m", day + 10*time.Minute, "1d10m"},
		{"10h20s", 10*time.Hour + 20*time.Second, "10h0m20s"},
		{"30s", 30 * time.Second, "30s"},
		{"1.5h", 90 * time.Minute, "1h30m"},
		{"250ms", 250 * time.Millisecond, "250ms"},
		{"0d", 0, "0s"},
		{"0", 0, "0s"},
		{"106751d", 106751 * day, "106751d"},
		{"9223372036854775807ns", math.MaxInt64, "106751d23h47m16.854775807s"},
	} {
		got, err := parseAge("keep-within", c.text)
		if err != nil || got != c.want || ageText(got) != c.shown {
			t.Errorf("%q: %v, shown as %q, %v; want %v, %q", c.text, got, ageText(got), err, c.want, c.shown)
		}
		if again, err := parseAge("keep-within", ageText(got)); err != nil || again != got {
			t.Errorf("%q: shown as %q, which reads as %v, %v", c.text, ageText(got), again, err)
		}
	}
	if got := rulesText(hawser.Retention{KeepLast: 3, KeepWithin: 36 * time.Hour}); got != "last 3, within 1d12h" {
		t.Errorf("shown as %q", got)
	}
}

// Claim: what is not a duration is a usage error that names the flag and shows
// what is meant, before anything is asked of a cluster.
func TestRetention_BadAge(t *testing.T) {
	const form = "is not a duration of at most 292 years, such as 2w, 30d, 1d12h or 90m\n"
	for text, want := range map[string]string{
		"-1d": "--keep-within -1d: is negative\n", "-720h": "--keep-within -720h: is negative\n",
		"1x": form, "30": form, "d": form, "w": form, "": form, " 1d": form, "1d ": form, "1d2w": form, "1h1d": form, "1.5d": form,
		"+1d": form, "1d-1h": form, "1d+1h": form, "1d30": form, "1dd": form, "1_0d": form, "0x1d": form, "١d": form,
		"106752d": form, "15251w": form, "9223372036854775807d": form, "99999999999999999999999w": form,
		"106751d24h": form, "15250w2d": form, "99999999999999h": form, "1d\x1b[31m": form,
	} {
		got := command(t, nil, "retention", "set", "--keep-within", text)
		if got.code != codeUsage || !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, "hawser help retention set") {
			t.Errorf("%q: code %d, stderr %q; want %q", text, got.code, got.stderr, want)
		}
		if want == form && !strings.Contains(got.stderr, fmt.Sprintf("--keep-within %q", text)) {
			t.Errorf("%q: stderr %q does not name it", text, got.stderr)
		}
	}
}
