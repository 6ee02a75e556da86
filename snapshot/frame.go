// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/frame"
)

// frameKind says what a frame holds. Kinds are stored: append only.
type frameKind uint8

const (
	frameCluster frameKind = iota + 1 // items that belong to no agent
	frameAgent                        // items of one agent
	frameTable                        // one block of the table
	frameIndex                        // some of the index of the table's blocks
	frameSummary
)

const (
	rawFrame, zstdFrame = 1, 2

	frameHeader = 16
	// maxFrame is the most bytes that a frame unpacks to.
	maxFrame = 1 << 20
	// minFrame is the shortest frame: a header and one byte.
	minFrame = frameHeader + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends payload, 1 to maxFrame bytes, as the frame that begins at
// offset in the file.
func appendFrame(dst []byte, kind frameKind, offset int64, payload []byte) []byte {
	begin := len(dst)
	dst = packFrame(dst, kind, payload)
	placeFrame(dst[begin:], offset)
	return dst
}

// packFrame is appendFrame for a frame whose place is not known yet; placeFrame
// says it.
func packFrame(dst []byte, kind frameKind, payload []byte) []byte {
	begin := len(dst)
	dst = append(dst, byte(kind), zstdFrame, 0, 0)
	dst = append(dst, make([]byte, frameHeader-4)...)
	dst = frame.Pack(dst, payload, frame.Fast)
	if len(dst)-begin-frameHeader >= len(payload) { // packed before, mostly
		dst = append(dst[:begin+frameHeader], payload...)
		dst[begin+1] = rawFrame
	}
	head := dst[begin:]
	binary.BigEndian.PutUint32(head[4:], uint32(len(dst)-begin-frameHeader))
	binary.BigEndian.PutUint32(head[8:], uint32(len(payload)))
	return dst
}

func placeFrame(packed []byte, offset int64) {
	sum := frameChecksum(packed[:frameHeader], offset, packed[frameHeader:])
	binary.BigEndian.PutUint32(packed[12:], sum)
}

// frameChecksum covers the place of the frame too, so that one that was moved
// or doubled is noticed.
func frameChecksum(head []byte, offset int64, stored []byte) uint32 {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], uint64(offset))
	sum := crc32.Update(0, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, head[:12])
	return crc32.Update(sum, castagnoli, stored)
}

// frameInfo is a frame's header.
type frameInfo struct {
	kind     frameKind
	encoding byte
	stored   int // bytes after the header
	unpacked int
	checksum uint32
}

// parseFrameHeader checks what a header can say at all; end is the length of
// what the frame must lie in, from its own first byte.
func parseFrameHeader(head []byte, offset, end int64) (frameInfo, error) {
	h := frameInfo{
		kind: frameKind(head[0]), encoding: head[1], checksum: binary.BigEndian.Uint32(head[12:]),
	}
	stored, unpacked := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	switch {
	case h.encoding != rawFrame && h.encoding != zstdFrame:
		return h, corruptAt(offset, "a frame of an unknown encoding")
	case head[2] != 0 || head[3] != 0:
		return h, corruptAt(offset, "a frame with unknown flags")
	case unpacked == 0 || unpacked > maxFrame:
		return h, corruptAt(offset, "a frame of %d bytes, the most is %d", unpacked, maxFrame)
	case h.encoding == rawFrame && stored != unpacked, h.encoding == zstdFrame && stored >= unpacked, stored == 0:
		return h, corruptAt(offset, "a frame of %d bytes says that it holds %d", stored, unpacked)
	case frameHeader+int64(stored) > end:
		return h, corruptAt(offset, "a frame of %d bytes, but only %d are left for it", frameHeader+int64(stored), end)
	}
	h.stored, h.unpacked = int(stored), int(unpacked)
	return h, nil
}

// length is how many bytes the frame takes in the file.
func (h frameInfo) length() int64 { return frameHeader + int64(h.stored) }

// open checks the frame's bytes and unpacks them. The result may alias stored.
func (h frameInfo) open(head []byte, offset int64, stored []byte) ([]byte, error) {
	if got := frameChecksum(head, offset, stored); got != h.checksum {
		return nil, corruptAt(offset, "a frame has checksum %08x, expected %08x", got, h.checksum)
	}
	if h.encoding == rawFrame {
		return stored, nil
	}
	out := make([]byte, h.unpacked)
	if err := frame.Unpack(out, stored); err != nil {
		return nil, corruptAt(offset, "a frame: %w", err)
	}
	return out, nil
}

// readFrame reads the frame at offset, which must end at end or before. It
// returns the payload, which is the caller's own, and where the next begins.
func readFrame(r io.ReaderAt, kind frameKind, offset, end int64) (payload []byte, next int64, err error) {
	h, head, err := readFrameHeader(r, offset, end)
	if err != nil {
		return nil, 0, err
	}
	next = offset + h.length()
	if h.kind != kind {
		return nil, next, corruptAt(offset, "a %s where a %s should be", h.kind, kind)
	}
	stored := make([]byte, h.stored)
	if err := readAt(r, stored, offset+frameHeader); err != nil {
		return nil, next, err
	}
	payload, err = h.open(head, offset, stored)
	return payload, next, err
}

func readFrameHeader(r io.ReaderAt, offset, end int64) (frameInfo, []byte, error) {
	if end-offset < minFrame {
		return frameInfo{}, nil, corruptAt(offset, "only %d bytes are left for a frame", end-offset)
	}
	head := make([]byte, frameHeader)
	if err := readAt(r, head, offset); err != nil {
		return frameInfo{}, nil, err
	}
	h, err := parseFrameHeader(head, offset, end-offset)
	return h, head, err
}

// readAt fills b. A file that is shorter than it said is corrupt; any other
// error is that of r.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF: // an io.ReaderAt says exactly that
		return corruptAt(offset, "the file ends after %d of %d bytes", n, len(b))
	}
	return fmt.Errorf("read %d bytes at offset %d: %w", len(b), offset, err)
}

// String returns the kind in words.
func (k frameKind) String() string {
	switch k {
	case frameCluster:
		return "frame of the cluster"
	case frameAgent:
		return "frame of an agent"
	case frameTable:
		return "frame of the table"
	case frameIndex:
		return "frame of the index"
	case frameSummary:
		return "summary"
	}
	return fmt.Sprintf("frame of the unknown kind %d", uint8(k))
}

// corruptAt returns an error that names a place in the file.
func corruptAt(offset int64, format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "archive", Err: fmt.Errorf("at offset %d: "+format, append([]any{offset}, args...)...)}
}
