// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/hawserdb/hawser"
)

// Format is the number of the format that this package writes and reads.
const Format = 1

const (
	// magic shows at once when a file was sent as text: its first byte is no
	// ASCII, and the line breaks in it would be changed.
	magic = "\x89HAWS\r\n\x1a"
	// minHeader is up to the strings; maxHeader keeps the first read small.
	minHeader, maxHeader = 8 + 2 + 2 + 4, 16 << 10
)

// Header says where an archive comes from.
type Header struct {
	ClusterID [16]byte
	// Generation and Revision are the cluster's: everything in the archive is
	// as it was at that revision.
	Generation hawser.Generation
	Revision   hawser.Revision
	// CreatedAt is to the nanosecond; without a location it is UTC.
	CreatedAt time.Time
	// Namespace is empty when all namespaces were asked for, Prefix when all
	// agents of the namespace were.
	Namespace, Prefix string
}

// Whole reports whether the archive was made of everything that the cluster had.
func (h Header) Whole() bool { return h.Namespace == "" }

// encodeHeader returns magic, format, flags, length, the fields and a CRC-32C.
func encodeHeader(h Header) []byte {
	dst := []byte(magic)
	dst = binary.BigEndian.AppendUint16(dst, Format)
	dst = binary.BigEndian.AppendUint16(dst, 0) // flags
	dst = binary.BigEndian.AppendUint32(dst, 0) // length, below
	dst = append(dst, h.ClusterID[:]...)
	dst = appendUvarints(dst, uint64(h.Generation), uint64(h.Revision), uint64(h.CreatedAt.UnixNano()))
	dst = appendString(appendString(dst, h.Namespace), h.Prefix)
	binary.BigEndian.PutUint32(dst[12:], uint32(len(dst)+4))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// readHeader reads the header of a file of size bytes and returns its length.
func readHeader(r io.ReaderAt, size int64) (Header, int64, error) {
	b := make([]byte, min(size, maxHeader))
	if err := readAt(r, b, 0); err != nil {
		return Header{}, 0, err
	}
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return Header{}, 0, corruptAt(0, "this is not an archive of Hawser: it does not begin with the right 8 bytes")
	}
	if len(b) < minHeader {
		return Header{}, 0, corruptAt(int64(len(b)), "the file ends within its header")
	}
	if format := binary.BigEndian.Uint16(b[8:]); format != Format {
		return Header{}, 0, newerFormat(format)
	}
	length := binary.BigEndian.Uint32(b[12:])
	if length < minHeader+4 || int64(length) > int64(len(b)) {
		return Header{}, 0, corruptAt(12, "the header cannot be %d bytes long", length)
	}
	h, err := parseHeader(b[:length])
	return h, int64(length), err
}

func newerFormat(format uint16) error {
	return &hawser.Error{
		Code: hawser.CodeUnimplemented, Op: "archive",
		Msg: fmt.Sprintf("it has format %d, this program knows format %d; use a newer hawser", format, Format),
	}
}

// parseHeader reads a header whose length is known.
func parseHeader(b []byte) (Header, error) {
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return Header{}, corruptAt(0, "the header has checksum %08x, expected %08x", got, sum)
	}
	if flags := binary.BigEndian.Uint16(b[10:]); flags != 0 {
		return Header{}, corruptAt(10, "the header has unknown flags %04x; use a newer hawser", flags)
	}
	r := &itemReader{b: body[minHeader:]}
	var h Header
	copy(h.ClusterID[:], r.take(len(h.ClusterID)))
	h.Generation, h.Revision = hawser.Generation(r.uvarint()), hawser.Revision(r.uvarint())
	h.CreatedAt = time.Unix(0, r.int63()).UTC()
	h.Namespace, h.Prefix = r.string(), r.string()
	r.check(h.Namespace == "" || validName(h.Namespace), "its namespace is not valid")
	r.check(h.Prefix == "" || h.Namespace != "" && validName(h.Prefix), "its prefix is not valid")
	r.check(len(r.b) == 0, "bytes follow it")
	if r.fault != "" {
		return Header{}, corruptAt(minHeader, "the header: %s", r.fault)
	}
	return h, nil
}
