// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// escape returns a key as a segment of a JSON Pointer.
func escape(key string) string { return pointerEscapes.Replace(key) }

// shorten returns a JSON value without space between its tokens, cut after
// limit bytes.
func shorten(v []byte, limit int) string {
	var out []byte
	for i := 0; i < len(v) && len(out) <= limit; i++ {
		switch v[i] {
		case ' ', '\t', '\n', '\r':
		case '"':
			end := skipString(v, i)
			out = append(out, v[i:min(end, i+limit+1)]...)
			i = end - 1
		default:
			out = append(out, v[i])
		}
	}
	if len(out) <= limit {
		return strings.ToValidUTF8(string(out), string(utf8.RuneError))
	}
	cut := limit
	for cut > 0 && cut > limit-utf8.UTFMax && !utf8.RuneStart(out[cut]) {
		cut--
	}
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(string(out[:cut]), string(utf8.RuneError)), len(v))
}
