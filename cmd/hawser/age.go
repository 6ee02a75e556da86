// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// parseAge reads the value of a flag that says how long something is kept:
// weeks, then days of 24 hours, then what Go reads as a duration, each of which
// may be missing, such as 30d, 2w or 1d12h.
func parseAge(flag, text string) (time.Duration, error) {
	if strings.HasPrefix(text, "-") {
		return 0, usageErrorf("--%s %s: is negative", flag, text)
	}
	wrong := usageErrorf("--%s %q: is not a duration of at most 292 years, such as 2w, 30d, 1d12h or 90m", flag, text)
	age, rest := time.Duration(0), text
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"w", week}, {"d", day}} {
		digits, after, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > uint64((math.MaxInt64-age)/unit.length) {
			return 0, wrong
		}
		age, rest = age+time.Duration(n)*unit.length, after //nolint:gosec // compared above
	}
	if rest == "" && text != "" {
		return age, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || strings.ContainsAny(rest, "+-") || d > math.MaxInt64-age {
		return 0, wrong
	}
	return age + d, nil
}

// ageText is a duration as parseAge reads it: in weeks where it is a number of
// them, else with its days first.
func ageText(d time.Duration) string {
	if d >= week && d%week == 0 {
		return fmt.Sprintf("%dw", d/week)
	}
	var days string
	if d >= day {
		days = fmt.Sprintf("%dd", d/day)
	}
	rest := (d % day).String()
	if rest == "0s" && days != "" {
		return days
	}
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(rest, none) {
			rest = rest[:len(rest)-2]
		}
	}
	return days + rest
}
