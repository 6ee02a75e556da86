// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"hash/crc32"

	"github.com/hawserdb/hawser"
)

// Kind says what a content is. Kinds are stored: append only.
type Kind uint8

const (
	// Keyframe is a whole state.
	Keyframe Kind = iota + 1
	// Delta is the difference to the version before.
	Delta
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case Keyframe:
		return "keyframe"
	case Delta:
		return "delta"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Encoding says how the bytes of a content are packed. Encodings are stored:
// append only.
type Encoding uint8

const (
	// Raw bytes are not packed.
	Raw Encoding = iota + 1
	// Zstd is one zstd frame that declares its size.
	Zstd
)

// String returns the encoding in words.
func (e Encoding) String() string {
	switch e {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("encoding %d", uint8(e))
}

// Content is the stored form of one version.
type Content struct {
	Kind     Kind
	Encoding Encoding
	// Size is the length of Data when it is unpacked: of the state for a
	// keyframe, of the delta for a delta.
	Size uint64
	// CRC32C is the Castagnoli checksum of Data.
	CRC32C uint32
	// Data is what is stored and sent.
	Data []byte
}

// Checksum returns the CRC-32C of data, as [Content] carries it.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Check reports whether c is well formed without unpacking it: known kind and
// encoding, a possible size of at most limit, and the right checksum.
func (c Content) Check(limit int64) error {
	switch c.Kind {
	case Keyframe, Delta:
	default:
		return corrupt("%s is unknown", c.Kind)
	}
	if c.Size > uint64(max(limit, 0)) {
		return &hawser.Error{Code: hawser.CodeTooLarge, Op: "content", Msg: fmt.Sprintf("%d bytes, the limit is %d", c.Size, limit)}
	}
	switch c.Encoding {
	case Raw:
		if c.Size != uint64(len(c.Data)) {
			return corrupt("%d bytes, but %d are declared", len(c.Data), c.Size)
		}
	case Zstd:
		if c.Size > maxUnpacked(len(c.Data)) {
			return corrupt("%d bytes of zstd cannot hold the %d declared", len(c.Data), c.Size)
		}
	default:
		return corrupt("%s is unknown", c.Encoding)
	}
	if got := Checksum(c.Data); got != c.CRC32C {
		return corrupt("checksum is %08x, expected %08x", got, c.CRC32C)
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Msg: fmt.Sprintf(format, args...)}
}
