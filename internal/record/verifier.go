// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"io"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/frame"
)

// Verifier verifies a keyframe that arrives in pieces, as [Verify] does one
// that is here, in memory that does not depend on its size: the window of a
// frame, at most 8 MiB. It is for one goroutine; one of its own unpacks, which
// Finish and Close end. One of the two must be called.
type Verifier struct {
	content Content
	state   hash.Hash // of the unpacked bytes; the goroutine's until done
	crc     uint32
	taken   uint64 // bytes written
	err     error  // the first; it stays

	packed *io.PipeWriter // nil if the content is not packed
	done   chan error     // capacity 1; gets the outcome of unpacking
}

// NewVerifier returns a verifier of a keyframe of which c says kind, encoding
// and size; the other fields are not read. Errors match hawser.ErrCorrupt and
// hawser.ErrTooLarge.
func NewVerifier(c Content, limit int64) (*Verifier, error) {
	if c.Kind != Keyframe {
		return nil, corrupt("a %s cannot be verified without its base", c.Kind)
	}
	if err := c.checkDeclared(limit); err != nil {
		return nil, err
	}
	v := &Verifier{content: c, state: sha256.New()}
	if c.Encoding == Zstd {
		packed, w := io.Pipe()
		v.packed, v.done = w, make(chan error, 1)
		go func() {
			err := frame.UnpackTo(v.state, packed, c.Size)
			packed.CloseWithError(err) // what is written from now on is in vain
			v.done <- err
		}()
	}
	return v, nil
}

// Write takes the next bytes of the data; it does not keep p. Once it has
// failed, so do all later calls and Finish. Errors match hawser.ErrCorrupt.
func (v *Verifier) Write(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	v.taken += uint64(len(p))
	v.crc = crc32.Update(v.crc, castagnoli, p)
	switch {
	case v.taken > maxData(v.content):
		v.err = corrupt("has more than %d bytes, which %d cannot need", maxData(v.content), v.content.Size)
	case v.packed == nil:
		v.state.Write(p) // never fails
	default:
		if _, err := v.packed.Write(p); err != nil {
			v.err = corruptFrame(err)
		}
	}
	if v.err != nil {
		return 0, v.err
	}
	return len(p), nil
}

// Finish ends the data and reports whether they were complete, with the given
// CRC-32C, and unpacked to a state with the given hash. Errors match
// hawser.ErrCorrupt.
func (v *Verifier) Finish(crc uint32, sha hawser.Hash) error {
	err := v.stop(nil)
	switch got := hawser.Hash(v.state.Sum(nil)); {
	case v.err != nil:
	case err != nil:
		v.err = corruptFrame(err)
	case v.packed == nil && v.taken != v.content.Size:
		v.err = corrupt("%d bytes, but %d are declared", v.taken, v.content.Size)
	case v.crc != crc:
		v.err = corrupt("checksum is %08x, expected %08x", v.crc, crc)
	case got != sha:
		v.err = corrupt("SHA-256 is %s, expected %s", got, sha)
	}
	return v.err
}

// Close gives up. It does nothing after Finish or another Close.
func (v *Verifier) Close() {
	if v.err == nil {
		v.err = &hawser.Error{Code: hawser.CodeInternal, Op: "content", Msg: "its verifier is closed"}
	}
	_ = v.stop(io.ErrUnexpectedEOF) // nobody asks any more
}

// stop ends the goroutine, if it was not, and returns its outcome.
func (v *Verifier) stop(cause error) error {
	if v.done == nil {
		return nil
	}
	v.packed.CloseWithError(cause)
	err := <-v.done
	v.done = nil
	return err
}

// maxData returns the most bytes that the data of c may have. A frame is at
// most a little longer than what it holds; without a bound it could go on with
// empty blocks for ever.
func maxData(c Content) uint64 {
	if c.Encoding == Raw {
		return c.Size
	}
	return c.Size + c.Size/256 + 64
}

func corruptFrame(err error) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "content", Err: err}
}
