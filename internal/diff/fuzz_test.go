// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hawserdb/hawser/internal/diff"
)

// Whatever two states hold: nothing panics, equal states have no difference,
// applying the differences to the first makes the second, and comparing the
// other way round tells the same differences the other way round.
func FuzzCompare(f *testing.F) {
	for _, seed := range [][2]string{
		{"", "x"},
		{`{"a":[1,2,{"b":null}],"c":"d"}`, `{"a":[1,3,{"b":true},4],"e/f~":"d"}`},
		{`[1,2,3,4]`, `[1,3,4]`},
		{`{"a":1,"a":2}`, `{"a":3}`},
		{`["\u0061\ud800"]`, `["a"]`},
		{"some bytes that are alike", "some bytes that aren't alike"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, from, to []byte) {
		all := diff.Limits{Changes: 1 << 30, Value: 1 << 30, Depth: 1 << 30}
		if same := diff.Compare(from, from, all); len(same.Changes)+len(same.Ranges) != 0 || same.Truncated {
			t.Fatalf("a state differs from itself: %+v", same)
		}
		r, back := diff.Compare(from, to, all), diff.Compare(to, from, all)
		if r.JSON != back.JSON || r.Truncated || !reflect.DeepEqual(mirrored(back), sorted(r)) {
			t.Fatalf("one way %+v, the other way %+v", r, back)
		}
		if short := diff.Compare(from, to, diff.Limits{Changes: 3, Value: 8, Depth: 2}); len(short.Changes)+len(short.Ranges) > 3 {
			t.Fatalf("more than 3: %+v", short)
		}
		if !r.JSON {
			if got := applyRanges(from, to, r.Ranges); !bytes.Equal(got, to) {
				t.Fatalf("%+v make %q", r.Ranges, got)
			}
			return
		}
		if !utf8.Valid(from) || !utf8.Valid(to) {
			return // values are shown as valid UTF-8, and so not what they were
		}
		if got, want := applyChanges(t, decode(t, from), r.Changes), decode(t, to); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v make %v, want %v", r.Changes, got, want)
		}
	})
}

func sorted(r diff.Result) []string {
	lines := append(printed(r.Changes), printedRanges(r.Ranges)...)
	slices.Sort(lines)
	return lines
}

func mirrored(r diff.Result) []string {
	for i, c := range r.Changes {
		kind := map[diff.Kind]diff.Kind{diff.Added: diff.Removed, diff.Removed: diff.Added, diff.Changed: diff.Changed}[c.Kind]
		r.Changes[i] = diff.Change{Kind: kind, Path: c.Path, Old: c.New, New: c.Old}
	}
	for i, x := range r.Ranges {
		r.Ranges[i] = diff.Range{Old: x.New, New: x.Old}
	}
	return sorted(r)
}

func printedRanges(ranges []diff.Range) []string {
	var lines []string
	for _, r := range ranges {
		lines = append(lines, fmt.Sprint(r))
	}
	return lines
}

func applyRanges(from, to []byte, ranges []diff.Range) []byte {
	var out []byte
	at := int64(0)
	for _, r := range ranges {
		out = append(out, from[at:r.Old.Start]...)
		out = append(out, to[r.New.Start:r.New.End]...)
		at = r.Old.End
	}
	return append(out, from[at:]...)
}

func decode(t *testing.T, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// applyChanges changes what is in both, then removes from the end of each
// array, then adds from its beginning.
func applyChanges(t *testing.T, doc any, changes []diff.Change) any {
	t.Helper()
	for _, c := range changes {
		if c.Kind == diff.Changed {
			doc = edit(doc, segments(c.Path), func(any) (any, bool) { return decode(t, []byte(c.New)), true })
		}
	}
	for _, c := range slices.Backward(changes) {
		if c.Kind == diff.Removed {
			doc = edit(doc, segments(c.Path), func(any) (any, bool) { return nil, false })
		}
	}
	for _, c := range changes {
		if c.Kind == diff.Added {
			doc = edit(doc, segments(c.Path), nil, decode(t, []byte(c.New)))
		}
	}
	return doc
}

func segments(path string) []string {
	if path == "" {
		return nil
	}
	parts := strings.Split(path[1:], "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts
}

// edit changes or removes the value at a path, or inserts one there.
func edit(doc any, path []string, change func(any) (any, bool), insert ...any) any {
	if len(path) == 0 {
		changed, _ := change(doc)
		return changed
	}
	switch c := doc.(type) {
	case map[string]any:
		switch {
		case len(path) > 1:
			c[path[0]] = edit(c[path[0]], path[1:], change, insert...)
		case change == nil:
			c[path[0]] = insert[0]
		default:
			if v, keep := change(c[path[0]]); keep {
				c[path[0]] = v
			} else {
				delete(c, path[0])
			}
		}
	case []any:
		i, err := strconv.Atoi(path[0])
		switch {
		case err != nil:
			panic(err)
		case len(path) > 1:
			c[i] = edit(c[i], path[1:], change, insert...)
		case change == nil:
			return slices.Insert(c, i, insert[0])
		default:
			v, keep := change(c[i])
			if !keep {
				return slices.Delete(c, i, i+1)
			}
			c[i] = v
		}
		return c
	}
	return doc
}
