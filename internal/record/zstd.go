// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"crypto/sha256"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/hawserdb/hawser"
)

const (
	// minPacked is the shortest state that is worth packing: below it the
	// header of a frame eats the gain.
	minPacked = 200
	// maxBlock is the most that one zstd block unpacks to, minBlock the fewest
	// bytes that a block takes (a header and one byte to repeat).
	maxBlock, minBlock = 128 << 10, 4
)

// Encoders and decoders are costly to make and not to be used twice at a time.
var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			panic("record: " + err.Error()) // only for impossible options
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderMaxWindow(512<<20))
		if err != nil {
			panic("record: " + err.Error())
		}
		return d
	}}
)

// EncodeKeyframe packs a whole state. The result may alias state, which must
// not be changed while it is in use.
func EncodeKeyframe(state []byte) Content {
	c := Content{Kind: Keyframe, Encoding: Raw, Size: uint64(len(state)), Data: state}
	if len(state) > minPacked {
		e := encoders.Get().(*zstd.Encoder)
		packed := e.EncodeAll(state, make([]byte, 0, len(state)/4+64))
		encoders.Put(e)
		if len(packed) < len(state) {
			c.Encoding, c.Data = Zstd, packed
		}
	}
	c.CRC32C = Checksum(c.Data)
	return c
}

// Decode checks and unpacks c. It takes no more memory than the declared
// size, which may be at most limit. The result aliases c.Data when that is
// not packed. Errors match hawser.ErrCorrupt and hawser.ErrTooLarge.
func (c Content) Decode(limit int64) ([]byte, error) {
	if err := c.Check(limit); err != nil {
		return nil, err
	}
	if c.Encoding == Raw {
		return c.Data, nil
	}
	if err := checkFrame(c.Data, c.Size); err != nil {
		return nil, err
	}
	d := decoders.Get().(*zstd.Decoder)
	out, err := d.DecodeAll(c.Data, make([]byte, 0, c.Size))
	decoders.Put(d)
	if err != nil {
		return nil, &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Msg: "is not valid zstd", Err: err}
	}
	if uint64(len(out)) != c.Size {
		return nil, corrupt("unpacks to %d bytes, but %d are declared", len(out), c.Size)
	}
	return out, nil
}

// Verify unpacks the keyframe c and compares its SHA-256. Errors match
// hawser.ErrCorrupt and hawser.ErrTooLarge.
func Verify(c Content, sha hawser.Hash, limit int64) error {
	if c.Kind != Keyframe {
		return corrupt("a %s cannot be verified without its base", c.Kind)
	}
	state, err := c.Decode(limit)
	if err != nil {
		return err
	}
	if got := hawser.Hash(sha256.Sum256(state)); got != sha {
		return corrupt("SHA-256 is %s, expected %s", got, sha)
	}
	return nil
}

// maxUnpacked is the most that n bytes of zstd can hold. It keeps a few
// hostile bytes from claiming the whole limit.
func maxUnpacked(n int) uint64 { return (uint64(n)/minBlock + 1) * maxBlock }

// checkFrame walks the blocks of the frame in data. The zstd decoder accepts
// several frames and skips others; we take exactly one, with the size declared.
func checkFrame(data []byte, size uint64) error {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Msg: "has no zstd header", Err: err}
	}
	if h.Skippable || h.DictionaryID != 0 || !h.HasFCS || h.FrameContentSize != size {
		return corrupt("its zstd header does not declare %d bytes in one plain frame", size)
	}
	rest := data[h.HeaderSize:]
	for last := false; !last; {
		if len(rest) < 3 {
			return corrupt("ends within a zstd block header")
		}
		head := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16
		last = head&1 != 0
		n := int(head >> 3)
		if head>>1&3 == 1 { // run length: one byte, however long
			n = 1
		}
		if n > len(rest)-3 {
			return corrupt("ends within a zstd block")
		}
		rest = rest[3+n:]
	}
	if h.HasCheckSum {
		if len(rest) < 4 {
			return corrupt("ends within the zstd checksum")
		}
		rest = rest[4:]
	}
	if len(rest) != 0 {
		return corrupt("%d bytes follow the zstd frame", len(rest))
	}
	return nil
}
