// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxMembers is the most members of one container that are told apart.
	maxMembers = 1 << 18
	// Scanning goes over a state once for each level that differs. budget
	// times the length of both states, and a little for small ones, is
	// enough for anything but hostile nesting.
	budget, minBudget = 32, 1 << 20
)

// walk is one comparison of two valid JSON documents.
type walk struct {
	limits Limits
	result Result
	// left is the number of bytes that may still be scanned.
	left int64
	// path are the escaped segments of the current path.
	path []string
	// ambiguous: an object has a key twice.
	ambiguous bool
}

// compareJSON reports false if one of the documents is ambiguous.
func compareJSON(from, to []byte, limits Limits) (Result, bool) {
	w := &walk{limits: limits, result: Result{JSON: true}, left: budget*int64(len(from)+len(to)) + minBudget}
	w.compare(value(from, 0), value(to, 0))
	return w.result, !w.ambiguous
}

// stopped reports whether nothing more is to be found out.
func (w *walk) stopped() bool { return w.ambiguous || len(w.result.Changes) >= w.limits.Changes }

func (w *walk) compare(from, to []byte) {
	switch {
	case bytes.Equal(from, to):
	case from[0] != to[0] || from[0] != '{' && from[0] != '[':
		if !sameScalar(from, to) {
			w.report(Changed, from, to)
		}
	case len(w.path) == w.limits.Depth || w.left < 0:
		w.coarse(from, to)
	case from[0] == '{':
		w.compareObjects(from, to)
	default:
		w.compareArrays(from, to)
	}
}

// coarse reports two containers that are not looked into.
func (w *walk) coarse(from, to []byte) {
	w.result.Truncated = true
	w.report(Changed, from, to)
}

func (w *walk) report(kind Kind, from, to []byte) {
	if w.stopped() {
		w.result.Truncated = true
		return
	}
	w.result.Changes = append(w.result.Changes, Change{
		Kind: kind, Path: strings.Join(w.path, ""),
		Old: shorten(from, w.limits.Value), New: shorten(to, w.limits.Value),
	})
}

// at runs f one segment deeper.
func (w *walk) at(segment string, f func()) {
	if w.stopped() {
		w.result.Truncated = true
		return
	}
	w.path = append(w.path, "/"+segment)
	f()
	w.path = w.path[:len(w.path)-1]
}

func (w *walk) compareObjects(from, to []byte) {
	old, ok1 := w.members(from)
	now, ok2 := w.members(to)
	if !ok1 || !ok2 {
		if !w.ambiguous {
			w.coarse(from, to)
		}
		return
	}
	for _, m := range old.list {
		w.at(escape(m.key), func() {
			if other, ok := now.find(m.key); ok {
				w.compare(m.value, other)
			} else {
				w.report(Removed, m.value, nil)
			}
		})
	}
	for _, m := range now.list {
		if _, ok := old.find(m.key); !ok {
			w.at(escape(m.key), func() { w.report(Added, nil, m.value) })
		}
	}
}

func (w *walk) compareArrays(from, to []byte) {
	w.left -= int64(len(from) + len(to))
	old, now := elementsOf(from), elementsOf(to)
	first := skipCommon(&old, &now)
	was, ok1 := old.rest()
	is, ok2 := now.rest()
	if !ok1 || !ok2 {
		w.coarse(from, to)
		return
	}
	for len(was) > 0 && len(is) > 0 && bytes.Equal(was[len(was)-1], is[len(is)-1]) {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	for i := range max(len(was), len(is)) {
		w.at(strconv.Itoa(first+i), func() {
			switch {
			case i >= len(is):
				w.report(Removed, was[i], nil)
			case i >= len(was):
				w.report(Added, nil, is[i])
			default:
				w.compare(was[i], is[i])
			}
		})
		if w.stopped() && i+1 < max(len(was), len(is)) {
			w.result.Truncated = true
			return
		}
	}
}

// sameScalar reports whether two values that are spelled differently, not
// both of them containers of one kind, mean the same.
func sameScalar(from, to []byte) bool {
	if from[0] != '"' || to[0] != '"' {
		return false
	}
	a, b := unquote(from), unquote(to)
	// What is not UTF-8 reads as this character, whatever it was.
	return a == b && !strings.ContainsRune(a, utf8.RuneError)
}

func unquote(quoted []byte) string {
	if !bytes.ContainsRune(quoted, '\\') && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // valid JSON
	return s
}
