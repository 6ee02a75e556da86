// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/hawserdb/hawser"
)

// endMagic ends a file that is complete.
const endMagic = "HAWSEND\n"

const trailerSize = 2 + 2 + 5*8 + 32 + 4 + len(endMagic)

// trailer says where everything is. What lies between the header and the
// trailer lies there without a gap: items of the cluster, sections of agents,
// blocks of the table, the index of those, the summary.
type trailer struct {
	agents  int64 // offset of the first section of an agent
	table   int64 // offset of the first block of the table
	index   int64 // offset of the index
	summary int64 // offset of the summary
	size    int64 // of the file
	sha     hawser.Hash
}

// appendTrailer appends format, flags, offsets, SHA-256 of all before the
// trailer, CRC-32C of the trailer, and endMagic.
func appendTrailer(dst []byte, t trailer) []byte {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, Format)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	for _, v := range []int64{t.agents, t.table, t.index, t.summary, t.size} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	dst = append(dst, t.sha[:]...)
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
	return append(dst, endMagic...)
}

// readTrailer reads the trailer of a file of size bytes whose header has the
// given length.
func readTrailer(r io.ReaderAt, header, size int64) (trailer, error) {
	at := size - int64(trailerSize)
	if at < header {
		return trailer{}, cutShort(size)
	}
	b := make([]byte, trailerSize)
	if err := readAt(r, b, at); err != nil {
		return trailer{}, err
	}
	return parseTrailer(b, header, size)
}

func cutShort(size int64) error {
	return corruptAt(size, "the file ends without a trailer: it was cut short, or is still being written")
}

func parseTrailer(b []byte, header, size int64) (trailer, error) {
	at := size - int64(trailerSize)
	body, rest := b[:len(b)-4-len(endMagic)], b[len(b)-4-len(endMagic):]
	if string(rest[4:]) != endMagic {
		return trailer{}, cutShort(size)
	}
	if got, sum := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(rest); got != sum {
		return trailer{}, corruptAt(at, "the trailer has checksum %08x, expected %08x", got, sum)
	}
	if format := binary.BigEndian.Uint16(body); format != Format || binary.BigEndian.Uint16(body[2:]) != 0 {
		return trailer{}, corruptAt(at, "the trailer is of another format than the header")
	}
	var t trailer
	for i, field := range []*int64{&t.agents, &t.table, &t.index, &t.summary, &t.size} {
		*field = int64(binary.BigEndian.Uint64(body[4+8*i:]))
	}
	copy(t.sha[:], body[4+5*8:])
	switch {
	case t.size != size:
		return trailer{}, corruptAt(at, "the file has %d bytes, but should have %d", size, t.size)
	case t.agents < header || t.table < t.agents || t.index < t.table || t.summary < t.index || t.summary >= at:
		return trailer{}, corruptAt(at, "the offsets in the trailer are not in order")
	}
	return t, nil
}
