// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

// story builds a history, the oldest first.
type story struct{ h History }

func tell() *story { return &story{History{Now: time.Unix(1_700_000_000, 0), Owned: true}} }

// saves adds n versions, one each pause, of sizes and states as given; nil is another
// state of 1 kB each.
func (s *story) saves(n int, pause time.Duration, size func(i int) int64, state func(i int) byte) *story {
	for i := range n {
		s.h.Now = s.h.Now.Add(pause)
		v := hawser.Version{Number: uint64(len(s.h.Versions) + 1), CreatedAt: s.h.Now, Size: 1000, State: hawser.VersionLive}
		v.SHA256 = hawser.Hash{byte(v.Number), byte(v.Number >> 8), 1}
		if size != nil {
			v.Size = size(i)
		}
		if state != nil {
			v.SHA256 = hawser.Hash{state(i)}
		}
		s.h.Versions = append([]hawser.Version{v}, s.h.Versions...)
	}
	return s
}

// effects adds n effects.
func (s *story) effects(n int, effect func(i int) hawser.Effect) *story {
	for i := range n {
		e := effect(i)
		e.ID, e.BegunAt = fmt.Sprint(len(s.h.Effects)), s.h.Now.Add(time.Duration(i)*time.Second)
		s.h.Effects = append(s.h.Effects, e)
	}
	return s
}

func (s *story) later(d time.Duration) *story {
	s.h.Now = s.h.Now.Add(d)
	return s
}

func (s *story) then(change func(*History)) *story {
	change(&s.h)
	return s
}

func done(i int) hawser.Effect {
	return hawser.Effect{State: hawser.EffectDone, Description: fmt.Sprintf("call %d", i)}
}

// Claim: each detector finds what it is for, and none finds anything in a history in
// which that is nearly so.
func TestFindings(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		story *story
		want  string // "detector: beginning of what"
	}{
		"new":                    {tell(), ""},
		"regular":                {tell().saves(100, second, nil, nil), ""},
		"silent":                 {tell().saves(50, 10*second, nil, nil).later(2 * time.Minute), "cadence: no save for 2m0s; it used to save every 10s"},
		"silent, and nobody's":   {tell().saves(50, 10*second, nil, nil).later(2 * time.Minute).then(func(h *History) { h.Owned = false }), ""},
		"silent for a moment":    {tell().saves(50, second, nil, nil).later(59 * second), ""},
		"slow by habit":          {tell().saves(50, time.Hour, nil, nil).later(9 * time.Hour), ""},
		"too few to know":        {tell().saves(20, second, nil, nil).later(time.Hour), ""},
		"hasty":                  {tell().saves(30, 10*second, nil, nil).saves(11, second/2, nil, nil), "cadence: it saves every 500ms; it used to save every 10s"},
		"in a hurry for a while": {tell().saves(30, 10*second, nil, nil).saves(4, second/2, nil, nil), ""},
		"always in a hurry":      {tell().saves(30, second/2, nil, nil).saves(11, second/100, nil, nil), ""},
		"growing": {
			tell().saves(50, second, func(i int) int64 { return 10_000 * int64(i+1) }, nil), "growth: its state has grown from 10000 bytes to 488 KiB in 50 versions",
		},
		"growing to the end": {
			tell().saves(50, second, func(i int) int64 { return int64(i+1) << 20 }, nil), "growth: its state has grown from 1024 KiB to 50 MiB in 50 versions; in about 206 more it is too large",
		},
		"small, growing":   {tell().saves(50, second, func(i int) int64 { return 100 * int64(i+1) }, nil), ""},
		"large, not twice": {tell().saves(50, second, func(i int) int64 { return 1<<20 + 10_000*int64(i+1) }, nil), ""},
		"up and down":      {tell().saves(50, second, func(i int) int64 { return 1 << (14 + i%5) }, nil), ""},
		"the same state":   {tell().saves(30, second, nil, func(int) byte { return 1 }), "loop: its last 20 versions are the same 1 states over and over"},
		"to and fro":       {tell().saves(30, second, nil, func(i int) byte { return byte(i % 3) }), "loop: its last 20 versions are the same 3 states"},
		"four states":      {tell().saves(30, second, nil, func(i int) byte { return byte(i % 4) }), ""},
		"the same call": {
			tell().effects(20, done).effects(10, func(int) hawser.Effect { return hawser.Effect{State: hawser.EffectDone, Description: "search"} }),
			`loop: the same call ("search") was made 10 times or more among the last 30 effects`,
		},
		"nine times": {tell().effects(20, done).effects(9, func(int) hawser.Effect { return hawser.Effect{State: hawser.EffectDone, Description: "search"} }), ""},
		"with other inputs": {
			tell().effects(30, func(i int) hawser.Effect {
				return hawser.Effect{State: hawser.EffectDone, Description: "search", Input: hawser.Hash{byte(i)}}
			}), "",
		},
		"nothing said": {tell().effects(30, func(int) hawser.Effect { return hawser.Effect{State: hawser.EffectDone} }), ""},
		"long ago":     {tell().effects(20, func(int) hawser.Effect { return hawser.Effect{State: hawser.EffectDone, Description: "search"} }).later(time.Hour).effects(50, done), ""},
		"half have failed": {tell().effects(20, func(i int) hawser.Effect {
			e := done(i)
			e.State += hawser.EffectState(i % 2)
			e.Reason = "no answer"
			return e
		}), "errors: 10 of its last 20 effects have failed, the last one: no answer"},
		"few have failed": {tell().effects(20, func(i int) hawser.Effect { e := done(i); e.State += hawser.EffectState(i % 3 / 2); return e }), ""},
		"too few":         {tell().effects(9, func(int) hawser.Effect { return hawser.Effect{State: hawser.EffectFailed} }), ""},
		"open ones":       {tell().effects(30, func(i int) hawser.Effect { e := done(i); e.State = hawser.EffectOpen; return e }), ""},
		"damaged":         {tell().saves(10, second, nil, nil).then(func(h *History) { h.Versions[3].State = hawser.VersionBad }), "errors: 1 of its last 10 versions are damaged, the newest is 7"},
	} {
		var got []string
		for _, f := range Findings(c.story.h) {
			got = append(got, f.Detector+": "+f.What)
			if f.Since.IsZero() || f.Since.After(c.story.h.Now.Add(time.Hour)) {
				t.Errorf("%s: since %v", name, f.Since)
			}
		}
		if len(got) > 1 || (len(got) == 1) != (c.want != "") || len(got) == 1 && !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
