// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/frame"
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
	// Parts is the number of parts when the data are kept apart; 0 when they
	// are inline.
	Parts uint32
	// Upload names the parts. It is valid if Parts is not 0.
	Upload [16]byte
	// Data is what is stored and sent. It is nil while Parts is not 0 and the
	// parts are not loaded; when they are, it is all of them, one after another.
	Data []byte
}

const (
	// PartSize is the length of every part but the last, which is shorter or
	// the same.
	PartSize = 128 << 10
	// MaxInline is the most data that travel and are stored inline.
	MaxInline = 128 << 10
	// MaxDelta is the longest delta in bytes; beyond it a keyframe is not worse.
	MaxDelta = 8 << 20
	// MaxParts is the most parts of one content: those of the largest state, and
	// a few for what packing adds when it does not shrink. The machine refuses
	// more, so neither may change but with a feature level.
	MaxParts = hawser.MaxStateSize/PartSize + 8
)

// PartsOf cuts data into parts. They alias data.
func PartsOf(data []byte) [][]byte {
	return slices.Collect(slices.Chunk(data, PartSize))
}

// partCount returns how many parts n bytes make.
func partCount(n int64) uint32 { return uint32((n + PartSize - 1) / PartSize) }

// Checksum returns the CRC-32C of data, as [Content] carries it.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Check reports whether c is well formed without unpacking it: known kind and
// encoding, a possible size of at most limit, the right number of parts and
// the right checksum. The operations of a delta are not looked at; that is
// delta.Check. Errors match hawser.ErrCorrupt and hawser.ErrTooLarge, and
// hawser.ErrInternal while the parts are not loaded.
func (c Content) Check(limit int64) error {
	if err := c.checkDeclared(limit); err != nil {
		return err
	}
	n := uint64(len(c.Data))
	switch {
	case c.Parts > 0 && c.Data == nil:
		return &hawser.Error{Code: hawser.CodeInternal, Op: "content", Msg: "its parts are not loaded"}
	case c.Parts > 0 && c.Parts != partCount(int64(n)):
		return corrupt("%d bytes are not %d parts", n, c.Parts)
	case c.Encoding == Raw && c.Size != n:
		return corrupt("%d bytes, but %d are declared", n, c.Size)
	case c.Encoding == Zstd && c.Size > frame.MaxUnpacked(n):
		return corrupt("%d bytes of zstd cannot hold the %d declared", n, c.Size)
	case n > maxData(c):
		return corrupt("%d bytes of zstd hold only %d", n, c.Size)
	}
	if got := Checksum(c.Data); got != c.CRC32C {
		return corrupt("checksum is %08x, expected %08x", got, c.CRC32C)
	}
	return nil
}

// checkDeclared checks what c says of itself.
func (c Content) checkDeclared(limit int64) error {
	switch {
	case c.Kind != Keyframe && c.Kind != Delta:
		return corrupt("%s is unknown", c.Kind)
	case c.Encoding != Raw && c.Encoding != Zstd:
		return corrupt("%s is unknown", c.Encoding)
	case c.Kind == Delta && c.Encoding != Raw:
		return corrupt("a delta packs its literals itself, %s is not for it", c.Encoding)
	case c.Size > uint64(max(limit, 0)):
		return &hawser.Error{Code: hawser.CodeTooLarge, Op: "content", Msg: fmt.Sprintf("%d bytes, the limit is %d", c.Size, limit)}
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Msg: fmt.Sprintf(format, args...)}
}
