// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"encoding/json"
)

// Kind says what happened to a path.
type Kind uint8

const (
	// Added paths are in the second state only.
	Added Kind = iota + 1
	// Removed paths are in the first state only.
	Removed
	// Changed paths are in both, with different values.
	Changed
)

// Change is one difference between two JSON documents.
type Change struct {
	Kind Kind
	// Path is a JSON Pointer (RFC 6901); empty for the whole document. An
	// index counts in the second document, that of a removed element in the
	// first.
	Path string
	// Old and New are the values as compact JSON, shortened; empty where there
	// is none.
	Old, New string
}

// Range is one difference between two states of bytes: New replaced Old. One
// of them may be empty.
type Range struct {
	Old, New Span
}

// Span is the bytes from Start up to End.
type Span struct {
	Start, End int64
}

// Result is what differs.
type Result struct {
	// JSON says that both states were compared as JSON: Changes tells what
	// differs, nothing if only the spelling does. Otherwise Ranges does.
	JSON    bool
	Changes []Change
	Ranges  []Range
	// Truncated says that more may differ than is told, or that it is told more
	// coarsely than it could be.
	Truncated bool
}

// Limits bound a result. Zero fields take the defaults.
type Limits struct {
	// Changes is the most changes or ranges, by default 1,000.
	Changes int
	// Value is the most bytes of a value that is shown, by default 80.
	Value int
	// Depth is how many containers deep paths go, by default 64.
	Depth int
}

const (
	defaultChanges = 1000
	defaultValue   = 80
	defaultDepth   = 64
)

func (l Limits) withDefaults() Limits {
	if l.Changes <= 0 {
		l.Changes = defaultChanges
	}
	if l.Value <= 0 {
		l.Value = defaultValue
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	return l
}

// Compare returns what differs between the states from and to. It retains
// neither.
func Compare(from, to []byte, limits Limits) Result {
	limits = limits.withDefaults()
	if json.Valid(from) && (bytes.Equal(from, to) || json.Valid(to)) {
		if r, ok := compareJSON(from, to, limits); ok {
			return r
		}
	}
	return compareBytes(from, to, limits)
}
