// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape makes text from elsewhere safe for a terminal: control and
// formatting characters, invalid UTF-8 and line breaks become escapes as in
// Go strings. A backslash stays as it is unless something else was escaped,
// so that what is printed cannot be mistaken for it.
func escape(s string) string {
	if strings.IndexFunc(s, dangerous) < 0 && utf8.ValidString(s) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], "\\\"", "\"")
}

// escapeLines escapes each line and keeps the line breaks.
func escapeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = escape(line)
	}
	return strings.Join(lines, "\n")
}

// dangerous reports whether a terminal could take r for more than a glyph.
func dangerous(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}
