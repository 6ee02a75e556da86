// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import "encoding/binary"

// storedFormat is the first byte of the stored form.
const storedFormat = 1

// AppendHeader appends what the stored form of c has before Data: format,
// kind, encoding, CRC-32C (big endian), size (uvarint).
func AppendHeader(dst []byte, c Content) []byte {
	dst = append(dst, storedFormat, byte(c.Kind), byte(c.Encoding))
	dst = binary.BigEndian.AppendUint32(dst, c.CRC32C)
	return binary.AppendUvarint(dst, c.Size)
}

// AppendContent appends the stored form of c.
func AppendContent(dst []byte, c Content) []byte { return append(AppendHeader(dst, c), c.Data...) }

// ParseContent reads the stored form. The result aliases b. It checks the
// form only; [Content.Check] and [Content.Decode] check the bytes. Errors
// match hawser.ErrCorrupt.
func ParseContent(b []byte) (Content, error) {
	if len(b) < 8 {
		return Content{}, corrupt("stored form is %d bytes long", len(b))
	}
	if b[0] != storedFormat {
		return Content{}, corrupt("stored in format %d, this program knows %d", b[0], storedFormat)
	}
	c := Content{Kind: Kind(b[1]), Encoding: Encoding(b[2]), CRC32C: binary.BigEndian.Uint32(b[3:])}
	size, n := binary.Uvarint(b[7:])
	if n <= 0 || n > 1 && b[7+n-1] == 0 {
		return Content{}, corrupt("stored size is malformed")
	}
	c.Size, c.Data = size, b[7+n:]
	return c, nil
}
