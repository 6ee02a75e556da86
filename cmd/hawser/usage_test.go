// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

// Claim: a usage error names the command whose help tells more, and a value
// that cannot be read is named with its flag as it is typed.
func TestUsage_NamesTheHelp(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{nil, "run \"hawser help\" for the commands"},
		{[]string{"nonsense"}, "run \"hawser help\" for the commands"},
		{[]string{"state"}, "run \"hawser help state\" for"},
		{[]string{"state", "sav"}, "run \"hawser help state\" for"},
		{[]string{"state", "save"}, "run \"hawser help state save\" for"},
		{[]string{"agent", "list", "--nope"}, "run \"hawser help agent list\" for"},
		{[]string{"state", "save", "x", "--label", "y"}, "run \"hawser help state save\" for"},
		{[]string{"server"}, "run \"hawser help server\" for"},
		{[]string{"agent", "list", "--timeout", "5"}, "\"5\" for flag --timeout: a duration has a unit"},
		{[]string{"agent", "list", "--limit", "x"}, "\"x\" for flag --limit\n"},
	} {
		got := command(t, nil, c.words...)
		if got.code != codeUsage || !strings.Contains(got.stderr, c.want) {
			t.Errorf("hawser %s: code %d, stderr %q; want %q", strings.Join(c.words, " "), got.code, got.stderr, c.want)
		}
	}
}

// Claim: --version alone is the command version.
func TestUsage_Version(t *testing.T) {
	if flag, word := command(t, nil, "--version"), command(t, nil, "version"); flag != word || flag.code != codeOK {
		t.Errorf("hawser --version: %+v; hawser version: %+v", flag, word)
	}
}

// Claim: a list that was cut says so on stderr; a whole one says nothing.
func TestCollect_SaysWhatIsCut(t *testing.T) {
	for _, c := range []struct{ items, limit, want int }{{5, 0, 5}, {5, 5, 5}, {5, 6, 5}, {5, 4, 4}} {
		var told bytes.Buffer
		items := func(yield func(int, error) bool) {
			for i := range c.items {
				if !yield(i, nil) {
					return
				}
			}
		}
		got, err := collect(&program{stderr: &told}, c.limit, items)
		if err != nil || len(got) != c.want || (told.Len() > 0) != (c.want < c.items) {
			t.Errorf("%d of %d: %d items, %v, told %q", c.limit, c.items, len(got), err, told.String())
		}
	}
}
