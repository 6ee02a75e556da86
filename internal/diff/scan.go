// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff

import "bytes"

// The functions of this file read JSON that is known to be valid.

// value returns the value that begins at or after i, without the space around
// it.
func value(b []byte, i int) []byte {
	i = skipSpace(b, i)
	return b[i:skipValue(b, i)]
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns where the value that begins at i ends.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipContainer(b, i)
	}
	for i < len(b) && bytes.IndexByte([]byte(" \t\r\n,]}"), b[i]) < 0 {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipContainer(b []byte, i int) int {
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// elements goes through an array.
type elements struct {
	array []byte
	at    int // where the next element begins, or the closing bracket
}

func elementsOf(array []byte) elements { return elements{array: array, at: skipSpace(array, 1)} }

// peek returns the next element and where the one after it begins; nil at the
// end.
func (e *elements) peek() (element []byte, next int) {
	if e.array[e.at] == ']' {
		return nil, e.at
	}
	end := skipValue(e.array, e.at)
	next = skipSpace(e.array, end)
	if e.array[next] == ',' {
		next = skipSpace(e.array, next+1)
	}
	return e.array[e.at:end], next
}

// rest returns the elements from here on, false if there are too many.
func (e *elements) rest() ([][]byte, bool) {
	var found [][]byte
	for {
		element, next := e.peek()
		if element == nil {
			return found, true
		}
		if len(found) == maxMembers {
			return nil, false
		}
		found = append(found, element)
		e.at = next
	}
}

// skipCommon skips the elements at the beginning that are written alike, and
// returns how many.
func skipCommon(a, b *elements) int {
	for n := 0; ; n++ {
		x, afterX := a.peek()
		y, afterY := b.peek()
		if x == nil || !bytes.Equal(x, y) {
			return n
		}
		a.at, b.at = afterX, afterY
	}
}

// member is one of an object.
type member struct {
	key   string
	value []byte
}

// object are the members of an object, in order.
type object struct {
	list  []member
	index map[string]int
}

func (o *object) find(key string) ([]byte, bool) {
	i, ok := o.index[key]
	if !ok {
		return nil, false
	}
	return o.list[i].value, true
}

// members reads an object. It reports false if it has too many, or has a key
// twice.
func (w *walk) members(b []byte) (object, bool) {
	w.left -= int64(len(b))
	o := object{index: make(map[string]int)}
	for i := skipSpace(b, 1); b[i] != '}'; {
		end := skipString(b, i)
		key := unquote(b[i:end])
		v := value(b, skipSpace(b, end)+1) // after the colon
		if _, twice := o.index[key]; twice {
			w.ambiguous = true
			return o, false
		}
		if len(o.list) == maxMembers {
			return o, false
		}
		o.index[key] = len(o.list)
		o.list = append(o.list, member{key: key, value: v})
		i = skipSpace(b, skipSpace(b, end)+1) + len(v)
		if i = skipSpace(b, i); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return o, true
}
