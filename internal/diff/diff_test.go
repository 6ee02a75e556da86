// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/diff"
)

// Each kind of difference between JSON documents is told by its path, and
// what only is written differently is not one.
func TestCompare_JSON(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to string
		want     []string
	}{
		"equal":               {`{"a":1}`, `{"a":1}`, nil},
		"order and space":     {`{"a":1,"b":[1,2]}`, " {\n \"b\" : [ 1 , 2 ], \"a\":1 }\n", nil},
		"escapes":             {`{"k\u0061":"\u00e9\n/"}`, `{"ka":"é\u000A\/"}`, nil},
		"added":               {`{"a":1}`, `{"a":1,"b":{"c":null}}`, []string{`+/b {"c":null}`}},
		"removed":             {`{"a":1,"b":[ 1 ]}`, `{"a":1}`, []string{`-/b [1]`}},
		"changed":             {`{"a":{"b":1}}`, `{"a":{"b":2}}`, []string{`~/a/b 1 2`}},
		"another type":        {`{"a":{"b":1}}`, `{"a":[1]}`, []string{`~/a {"b":1} [1]`}},
		"null is a value":     {`{"a":null}`, `{}`, []string{`-/a null`}},
		"whole document":      {`1`, `"1"`, []string{`~ 1 "1"`}},
		"pointer escapes":     {`{"a/b":{"m~n":1,"":2}}`, `{"a/b":{"m~n":2,"":3}}`, []string{`~/a~1b/m~0n 1 2`, `~/a~1b/ 2 3`}},
		"digits are kept":     {`[9007199254740993]`, `[9007199254740992]`, []string{`~/0 9007199254740993 9007199254740992`}},
		"numbers as written":  {`[1.0,1e2]`, `[1,100]`, []string{`~/0 1.0 1`, `~/1 1e2 100`}},
		"lone surrogates":     {`["\ud800"]`, `["\ud801"]`, []string{`~/0 "\ud800" "\ud801"`}},
		"history grows":       {`[{"s":1},{"s":2}]`, `[{"s":1},{"s":2},{"s":3},{"s":4}]`, []string{`+/2 {"s":3}`, `+/3 {"s":4}`}},
		"history shrinks":     {`[1,2,3,4]`, `[1,2]`, []string{`-/2 3`, `-/3 4`}},
		"inserted":            {`[1,2,3,4]`, `[1,2,9,3,4]`, []string{`+/2 9`}},
		"removed within":      {`[1,2,3,4]`, `[1,3,4]`, []string{`-/1 2`}},
		"changed within":      {`[1,{"a":1,"b":2},3]`, `[1,{"a":1,"b":7},3]`, []string{`~/1/b 2 7`}},
		"changed and grown":   {`[1,2]`, `[1,3,4]`, []string{`~/1 2 3`, `+/2 4`}},
		"emptied":             {`{"a":[1]}`, `{"a":[ ]}`, []string{`-/a/0 1`}},
		"old order, then new": {`{"z":1,"y":2,"x":3}`, `{"w":0,"x":4,"z":2}`, []string{`~/z 1 2`, `-/y 2`, `~/x 3 4`, `+/w 0`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := diff.Compare([]byte(tc.from), []byte(tc.to), diff.Limits{})
			if !r.JSON || r.Truncated || len(r.Ranges) != 0 {
				t.Fatalf("result %+v", r)
			}
			if got := printed(r.Changes); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func printed(changes []diff.Change) []string {
	var lines []string
	for _, c := range changes {
		switch c.Kind {
		case diff.Added:
			lines = append(lines, "+"+c.Path+" "+c.New)
		case diff.Removed:
			lines = append(lines, "-"+c.Path+" "+c.Old)
		case diff.Changed:
			lines = append(lines, "~"+c.Path+" "+c.Old+" "+c.New)
		}
	}
	return lines
}

// What is not JSON on both sides, or means different things to different
// readers, is compared as bytes.
func TestCompare_Bytes(t *testing.T) {
	type r = diff.Range
	span := func(start, end int64) diff.Span { return diff.Span{Start: start, End: end} }
	far := strings.Repeat("=", 40)
	for name, tc := range map[string]struct {
		from, to string
		want     []diff.Range
	}{
		"equal":          {"abc", "abc", nil},
		"empty":          {"", "", nil},
		"grown":          {"abc", "abcdef", []r{{Old: span(3, 3), New: span(3, 6)}}},
		"cut":            {"abcdef", "abc", []r{{Old: span(3, 6), New: span(3, 3)}}},
		"within":         {"abXXcd", "abYcd", []r{{Old: span(2, 4), New: span(2, 3)}}},
		"repeated bytes": {"aa", "aaa", []r{{Old: span(2, 2), New: span(2, 3)}}},
		"near each other": {
			"_X==X_", "_Y==Y_",
			[]r{{Old: span(1, 5), New: span(1, 5)}},
		},
		"far from each other": {
			"_X" + far + "X_", "_Y" + far + "Y_",
			[]r{{Old: span(1, 2), New: span(1, 2)}, {Old: span(42, 43), New: span(42, 43)}},
		},
		"only one is JSON": {"{", "{}", []r{{Old: span(1, 1), New: span(1, 2)}}},
		"a key twice":      {`{"a":1,"a":2}`, `{"a":1,"a":3}`, []r{{Old: span(11, 12), New: span(11, 12)}}},
		"a key twice deep": {`[0,{"a":1}]`, `[0,{"a":1,"\u0061":1}]`, []r{{Old: span(9, 9), New: span(9, 20)}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := diff.Compare([]byte(tc.from), []byte(tc.to), diff.Limits{})
			if got.JSON || got.Truncated || len(got.Changes) != 0 || !reflect.DeepEqual(got.Ranges, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// A result is bounded in every direction, and says so.
func TestCompare_Limits(t *testing.T) {
	var many, none, others bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&many, `,"k%d":%d`, i, i)
		others.WriteString("x" + strings.Repeat("=", 40))
		none.WriteString("y" + strings.Repeat("=", 40))
	}
	deep := func(v string) []byte { return []byte(strings.Repeat(`{"a":`, 200) + v + strings.Repeat("}", 200)) }
	for name, tc := range map[string]struct {
		from, to []byte
		limits   diff.Limits
		want     int
	}{
		"added":           {[]byte(`{"z":0}`), []byte(`{"z":0` + many.String() + `}`), diff.Limits{Changes: 10}, 10},
		"removed":         {[]byte(`{"z":0` + many.String() + `}`), []byte(`{"z":0}`), diff.Limits{}, 1000},
		"elements":        {[]byte(`[0` + strings.Repeat(",1", 3000) + `]`), []byte(`[1` + strings.Repeat(",2", 3000) + `]`), diff.Limits{}, 1000},
		"ranges":          {none.Bytes(), others.Bytes(), diff.Limits{Changes: 10}, 10},
		"depth":           {deep("1"), deep("2"), diff.Limits{}, 1},
		"too many to see": {[]byte(`[0` + strings.Repeat(",1", 300_000) + `]`), []byte(`[1` + strings.Repeat(",2", 300_000) + `]`), diff.Limits{}, 1},
	} {
		got := diff.Compare(tc.from, tc.to, tc.limits)
		if !got.Truncated || len(got.Changes)+len(got.Ranges) != tc.want {
			t.Errorf("%s: truncated %v, %d changes, %d ranges", name, got.Truncated, len(got.Changes), len(got.Ranges))
		}
		for _, c := range got.Changes {
			if len(c.Old) > 120 || len(c.New) > 120 || strings.Count(c.Path, "/") > 64 {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
	if got := diff.Compare(deep("1"), deep("2"), diff.Limits{Depth: 600}); got.Truncated || len(got.Changes) != 1 || got.Changes[0].New != "2" {
		t.Errorf("deep enough: %+v", got)
	}
}

// A long value is cut between characters, and its length told.
func TestCompare_ShortensValues(t *testing.T) {
	long := `"` + strings.Repeat("é", 100) + `"`
	got := diff.Compare([]byte(`1`), []byte(` [ 1 , `+long+` ] `), diff.Limits{Value: 9})
	if len(got.Changes) != 1 || got.Changes[0].New != `[1,"éé... (210 bytes)` {
		t.Errorf("got %+v", got)
	}
}

// Hostile nesting costs a bounded number of scans, not one for each level.
func TestCompare_TimeIsBounded(t *testing.T) {
	nest := func(v string) []byte {
		b := []byte(v)
		for range 60 {
			b = slices.Concat([]byte(`{"pad":"`), bytes.Repeat([]byte("x"), 20_000), []byte(`","a":`), b, []byte("}"))
		}
		return b
	}
	begin := time.Now()
	diff.Compare(nest("1"), nest("2"), diff.Limits{})
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
