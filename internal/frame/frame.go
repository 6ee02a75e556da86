// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Effort says how long to look for a shorter frame.
type Effort uint8

const (
	// Fast is for whole states.
	Fast Effort = iota
	// Thorough is for the few bytes that a delta inserts.
	Thorough
)

var levels = [...]zstd.EncoderLevel{Fast: zstd.SpeedFastest, Thorough: zstd.SpeedBetterCompression}

// Encoders and decoders are costly to make and not to be used twice at a time.
var (
	// One segment says its size in the fewest bytes, but needs a window as
	// large as the content.
	single = [...]sync.Pool{Fast: encoders(Fast, true), Thorough: encoders(Thorough, true)}
	multi  = [...]sync.Pool{Fast: encoders(Fast, false), Thorough: encoders(Thorough, false)}

	decoders = sync.Pool{New: func() any { return newDecoder(zstd.WithDecodeAllCapLimit(true)) }}
	readers  = sync.Pool{New: func() any { return newDecoder() }}
)

func encoders(e Effort, one bool) sync.Pool {
	return sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(levels[e]),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(one))
		return must(w, err)
	}}
}

func newDecoder(opts ...zstd.DOption) *zstd.Decoder {
	return must(zstd.NewReader(nil, append(opts, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderMaxWindow(MaxWindow))...))
}

// must panics for what only impossible options cause.
func must[T any](v T, err error) T {
	if err != nil {
		panic("frame: " + err.Error())
	}
	return v
}

// Pack appends src as one frame to dst.
func Pack(dst, src []byte, e Effort) []byte {
	pool := &multi[e]
	if len(src) <= MaxWindow {
		pool = &single[e]
	}
	w := pool.Get().(*zstd.Encoder)
	defer pool.Put(w)
	return w.EncodeAll(src, dst)
}

// PackTo writes src as one frame to w, in pieces of any length, without
// holding more than a window of it. An error is that of w.
func PackTo(w io.Writer, src []byte, e Effort) error {
	enc := multi[e].Get().(*zstd.Encoder)
	defer multi[e].Put(enc)
	defer enc.Reset(nil) // let go of w
	enc.ResetContentSize(w, int64(len(src)))
	if _, err := enc.Write(src); err != nil {
		return err
	}
	return enc.Close()
}

// Unpack fills out, all of it and no more, from data, one plain frame.
func Unpack(out, data []byte) error {
	if err := Check(data, uint64(len(out))); err != nil {
		return err
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	got, err := d.DecodeAll(data, out[:0:len(out)])
	switch {
	case err != nil:
		return fmt.Errorf("is not valid zstd: %w", err)
	case len(got) != len(out) || len(out) > 0 && &got[0] != &out[0]:
		return fmt.Errorf("unpacks to %d bytes, not %d", len(got), len(out))
	}
	return nil
}

// UnpackTo writes to w what r holds, one plain frame of size bytes. It holds
// no more than the window of the frame. An error of w or r is among those that
// the error matches.
func UnpackTo(w io.Writer, r io.Reader, size uint64) error {
	d := readers.Get().(*zstd.Decoder)
	defer readers.Put(d)
	defer d.Reset(nil) //nolint:errcheck // only lets go of r
	walker, out := NewWalker(size), &exactly{w: w, left: size}
	if err := d.Reset(io.TeeReader(r, walker)); err != nil {
		return err
	}
	if _, err := d.WriteTo(out); err != nil {
		return fmt.Errorf("is not valid zstd: %w", err)
	}
	if err := walker.Finish(); err != nil {
		return err
	}
	return out.finish()
}

// exactly passes so many bytes on and refuses more.
type exactly struct {
	w    io.Writer
	left uint64
}

func (e *exactly) Write(p []byte) (int, error) {
	if uint64(len(p)) > e.left {
		return 0, fmt.Errorf("%d bytes more than declared", uint64(len(p))-e.left)
	}
	e.left -= uint64(len(p))
	return e.w.Write(p)
}

func (e *exactly) finish() error {
	if e.left > 0 {
		return fmt.Errorf("ends %d bytes early", e.left)
	}
	return nil
}
