// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff

// maxGap is how many equal bytes between two differences count as part of
// one.
const maxGap = 32

// compareBytes leaves aside what the states have in common at the beginning
// and at the end. If what is left is of one length, it is compared byte by
// byte, else it is one range.
func compareBytes(from, to []byte, limits Limits) Result {
	begin := commonPrefix(from, to)
	end := commonSuffix(from[begin:], to[begin:])
	was, is := from[begin:len(from)-end], to[begin:len(to)-end]
	if len(was) != len(is) {
		return Result{Ranges: []Range{{Old: spanAt(begin, len(was)), New: spanAt(begin, len(is))}}}
	}
	var r Result
	for at := 0; at < len(was); {
		n := differing(was[at:], is[at:])
		if len(r.Ranges) == limits.Changes-1 && at+n < len(was) {
			n, r.Truncated = len(was)-at, true
		}
		r.Ranges = append(r.Ranges, Range{Old: spanAt(begin+at, n), New: spanAt(begin+at, n)})
		at += n
		at += commonPrefix(was[at:], is[at:])
	}
	return r
}

// differing returns how long the difference is with which a and b, of one
// length, begin.
func differing(a, b []byte) int {
	last := 0
	for i := range a {
		if a[i] != b[i] {
			last = i
		} else if i-last > maxGap {
			break
		}
	}
	return last + 1
}

func spanAt(begin, n int) Span { return Span{Start: int64(begin), End: int64(begin + n)} }

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[len(a)-1-i] != b[len(b)-1-i] {
			return i
		}
	}
	return n
}
