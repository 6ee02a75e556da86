// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"math"
)

// storedFormat is the first byte of the stored form.
const storedFormat = 1

// AppendHeader appends what the stored form of c has before its data: format,
// kind, encoding, CRC-32C (big endian), size (uvarint), parts (uvarint).
func AppendHeader(dst []byte, c Content) []byte {
	dst = append(dst, storedFormat, byte(c.Kind), byte(c.Encoding))
	dst = binary.BigEndian.AppendUint32(dst, c.CRC32C)
	dst = binary.AppendUvarint(dst, c.Size)
	return binary.AppendUvarint(dst, uint64(c.Parts))
}

// AppendContent appends the stored form of c: the header, then the data, or
// Upload in their place if there are parts.
func AppendContent(dst []byte, c Content) []byte {
	if c.Parts > 0 {
		return append(AppendHeader(dst, c), c.Upload[:]...)
	}
	return append(AppendHeader(dst, c), c.Data...)
}

// ParseContent reads the stored form. The result aliases b. It checks the
// form only; [Content.Check] and [Content.Decode] check the bytes. Errors
// match hawser.ErrCorrupt.
func ParseContent(b []byte) (Content, error) {
	if len(b) < 9 {
		return Content{}, corrupt("stored form is %d bytes long", len(b))
	}
	if b[0] != storedFormat {
		return Content{}, corrupt("stored in format %d, this program knows %d", b[0], storedFormat)
	}
	c := Content{Kind: Kind(b[1]), Encoding: Encoding(b[2]), CRC32C: binary.BigEndian.Uint32(b[3:])}
	size, rest, ok := cutUvarint(b[7:])
	parts, rest, ok2 := cutUvarint(rest)
	switch {
	case !ok || !ok2 || parts > math.MaxUint32:
		return Content{}, corrupt("stored size or number of parts is malformed")
	case parts > 0 && len(rest) != len(c.Upload):
		return Content{}, corrupt("%d bytes stand for its parts, not %d", len(rest), len(c.Upload))
	}
	c.Size, c.Parts = size, uint32(parts)
	if parts > 0 {
		copy(c.Upload[:], rest)
	} else {
		c.Data = rest
	}
	return c, nil
}

// cutUvarint reads a number in its shortest form and returns what follows it.
func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
