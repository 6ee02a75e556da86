// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

const (
	// MaxWindow is the most bytes that a decoder must look back.
	MaxWindow = 8 << 20
	// maxHeader is the longest header of a frame: magic, descriptor, window,
	// dictionary, size.
	maxHeader = 4 + 1 + 1 + 4 + 8
	// maxBlock is the most that one block unpacks to, minBlock the fewest bytes
	// that a block takes (a header and one byte to repeat).
	maxBlock, minBlock = 128 << 10, 4
)

// MaxUnpacked returns the most that n bytes of a frame can hold. It keeps a
// few hostile bytes from claiming a lot of memory.
func MaxUnpacked(n uint64) uint64 { return (n/minBlock + 1) * maxBlock }

// Check reports whether data is one plain frame that declares size bytes. It
// reads headers only.
func Check(data []byte, size uint64) error {
	w := NewWalker(size)
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Finish()
}

// Walker checks a frame that arrives in pieces. It keeps a few bytes and is
// not safe for concurrent use.
type Walker struct {
	size uint64
	err  error // the first; it stays

	head    []byte // of the frame or of a block, as far as it arrived
	opened  bool   // the frame's header was read
	skip    int    // bytes of the block, or of the checksum, still to come
	last    bool   // the block was the last
	trailer int    // bytes of the checksum that follows the last block
}

// NewWalker returns a walker of a frame that must declare size bytes.
func NewWalker(size uint64) *Walker {
	return &Walker{size: size, head: make([]byte, 0, maxHeader)}
}

// Write takes the next bytes of the frame; it does not keep p. An error
// repeats in all later calls.
func (w *Walker) Write(p []byte) (int, error) {
	n := len(p)
	for w.err == nil && len(p) > 0 {
		p = p[w.step(p):]
	}
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// Finish reports whether the frame is complete.
func (w *Walker) Finish() error {
	switch {
	case w.err != nil:
	case !w.last || w.skip > 0 || w.trailer > 0:
		w.err = errors.New("ends within the frame")
	}
	return w.err
}

// step consumes some of p, which is not empty, and returns how much.
func (w *Walker) step(p []byte) int {
	switch {
	case w.skip > 0:
		n := min(w.skip, len(p))
		w.skip -= n
		return n
	case w.last && w.trailer > 0:
		w.skip, w.trailer = w.trailer, 0
		return 0
	case w.last:
		w.err = errors.New("bytes follow the frame")
		return 0
	case !w.opened:
		return w.frameHeader(p)
	default:
		return w.blockHeader(p)
	}
}

// frameHeader reads the header as soon as it cannot be longer than what is here.
func (w *Walker) frameHeader(p []byte) int {
	had := len(w.head)
	n := min(maxHeader-had, len(p))
	w.head = append(w.head, p[:n]...)
	if len(w.head) < headerLen(w.head) {
		return n
	}
	length := headerLen(w.head)
	w.head = w.head[:length]
	w.err = w.open()
	w.head = w.head[:0]
	return length - had
}

// headerLen returns the length of the header that begins with b, or maxHeader
// as long as that is not known.
func headerLen(b []byte) int {
	if len(b) < 5 {
		return maxHeader
	}
	descriptor := b[4]
	n := 5 + [4]int{0, 2, 4, 8}[descriptor>>6] + [4]int{0, 1, 2, 4}[descriptor&3]
	if single := descriptor&(1<<5) != 0; !single || descriptor>>6 == 0 {
		n++ // the window, or a size of one byte
	}
	return n
}

func (w *Walker) open() error {
	var h zstd.Header
	if err := h.Decode(w.head); err != nil {
		return fmt.Errorf("has no zstd header: %w", err)
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	switch {
	case h.Skippable, h.DictionaryID != 0, !h.HasFCS, h.FrameContentSize != w.size:
		return fmt.Errorf("the zstd header does not declare %d bytes in one plain frame", w.size)
	case window > MaxWindow:
		return fmt.Errorf("needs a window of %d bytes, the limit is %d", window, MaxWindow)
	}
	w.opened = true
	if h.HasCheckSum {
		w.trailer = 4
	}
	return nil
}

func (w *Walker) blockHeader(p []byte) int {
	n := min(3-len(w.head), len(p))
	w.head = append(w.head, p[:n]...)
	if len(w.head) < 3 {
		return n
	}
	head := uint32(w.head[0]) | uint32(w.head[1])<<8 | uint32(w.head[2])<<16
	w.head = w.head[:0]
	w.last = head&1 != 0
	w.skip = int(head >> 3)
	if head>>1&3 == 1 { // run length: one byte, however long
		w.skip = 1
	}
	return n
}
