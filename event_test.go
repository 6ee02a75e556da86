// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"errors"
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: a cursor comes back from its printed form; one that was changed
// anywhere is refused.
func TestCursor_PrintedForm(t *testing.T) {
	for _, c := range []hawser.Cursor{{}, {Revision: 1}, {Generation: 1 << 40, Revision: 1 << 63}} {
		s := c.String()
		if got, err := hawser.ParseCursor(s); err != nil || got != c {
			t.Errorf("%+v printed as %q came back as %+v, %v", c, s, got, err)
		}
		for i := range s {
			b := []byte(s)
			b[i] ^= 1
			if got, err := hawser.ParseCursor(string(b)); !errors.Is(err, hawser.ErrInvalid) {
				t.Errorf("%q with byte %d changed: %+v, %v", s, i, got, err)
			}
			if got, err := hawser.ParseCursor(s[:i]); i > 0 && !errors.Is(err, hawser.ErrInvalid) {
				t.Errorf("%q: %+v, %v", s[:i], got, err)
			}
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add("AQC\rA4s-qBirC6vc5")
	f.Add(hawser.Cursor{Generation: 1_700_000_000, Revision: 42}.String())
	f.Fuzz(func(t *testing.T, s string) {
		c, err := hawser.ParseCursor(s)
		if err == nil && c.String() != s {
			t.Errorf("%q was taken for %+v, which prints as %q", s, c, c)
		}
	})
}

// Claim: tokens of one generation grow with the number, and those of a later
// generation are higher.
func TestToken_Order(t *testing.T) {
	tokens := []uint64{hawser.NewToken(1, 1), hawser.NewToken(1, 2), hawser.NewToken(1, 1<<32-1), hawser.NewToken(2, 1), hawser.NewToken(1_800_000_000, 7)}
	for i, token := range tokens[1:] {
		if token <= tokens[i] {
			t.Errorf("token %d is not above %d", token, tokens[i])
		}
	}
	if g, n := hawser.SplitToken(tokens[4]); g != 1_800_000_000 || n != 7 {
		t.Errorf("split into %d and %d", g, n)
	}
}
