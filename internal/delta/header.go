// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/frame"
)

// The first byte: the format, and how the literals are packed.
const (
	formatRaw  = 0x10 // as they are
	formatZstd = 0x11 // as one zstd frame
)

// maxHeader is the most bytes before the ops.
const maxHeader = 1 + 4*binary.MaxVarintLen64 + crc32.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Info is what a delta declares.
type Info struct {
	// BaseSize is the length of the base, Size that of the target, in bytes.
	BaseSize, Size int64
}

// Inspect reads the header of a delta and nothing else. Errors match
// hawser.ErrCorrupt.
func Inspect(delta []byte) (Info, error) {
	h, err := parse(delta)
	return h.Info, err
}

// header is a delta taken apart; it aliases the delta.
type header struct {
	Info
	zstd     bool
	literals int64 // length, unpacked
	crc      uint32
	ops      []byte
	packed   []byte // the literals
}

// appendHead appends all but the literals.
func (h header) appendHead(dst []byte, format byte) []byte {
	dst = append(dst, format)
	dst = binary.AppendUvarint(dst, uint64(h.BaseSize))
	dst = binary.AppendUvarint(dst, uint64(h.Size))
	dst = binary.AppendUvarint(dst, uint64(h.literals))
	dst = binary.AppendUvarint(dst, uint64(len(h.ops)))
	dst = binary.BigEndian.AppendUint32(dst, h.crc)
	return append(dst, h.ops...)
}

func parse(delta []byte) (header, error) {
	if len(delta) == 0 {
		return header{}, corrupt("is empty")
	}
	var h header
	switch delta[0] {
	case formatRaw:
	case formatZstd:
		h.zstd = true
	default:
		return header{}, corrupt("has format %#x, this program knows %#x and %#x", delta[0], formatRaw, formatZstd)
	}
	r := reader{b: delta[1:]}
	h.BaseSize, h.Size, h.literals = r.length(), r.length(), r.length()
	ops := r.length()
	if r.bad || len(r.b) < 4 || ops > int64(len(r.b)-4) {
		return header{}, corrupt("has a malformed header or is cut")
	}
	h.crc = binary.BigEndian.Uint32(r.b)
	h.ops, h.packed = r.b[4:4+ops], r.b[4+ops:]
	switch {
	case h.literals > h.Size:
		return header{}, corrupt("inserts %d bytes into %d", h.literals, h.Size)
	case !h.zstd && h.literals != int64(len(h.packed)):
		return header{}, corrupt("has %d bytes of literals, but %d are declared", len(h.packed), h.literals)
	case h.zstd && uint64(h.literals) > frame.MaxUnpacked(uint64(len(h.packed))):
		return header{}, corrupt("has %d bytes of zstd, which cannot hold the %d declared", len(h.packed), h.literals)
	}
	return h, nil
}

// admit refuses what is for another base or too large.
func (h header) admit(baseSize, limit int64) error {
	if h.BaseSize != baseSize {
		return corrupt("is for a base of %d bytes, this one has %d", h.BaseSize, baseSize)
	}
	if h.Size > limit {
		return &hawser.Error{Code: hawser.CodeTooLarge, Op: "delta", Msg: fmt.Sprintf("makes %d bytes, the limit is %d", h.Size, limit)}
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "delta", Msg: fmt.Sprintf(format, args...)}
}

func corruptLiterals(err error) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "delta", Msg: "its literals", Err: err}
}
