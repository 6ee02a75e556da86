// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// text returns n bytes that pack like an agent's state.
func text(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, `{"step":%d,"role":"assistant","content":"%x and then %d"},`, rng.IntN(1e6), rng.Uint64(), rng.IntN(100))
	}
	return b.Bytes()[:n]
}

func encode(tb testing.TB, b []byte, opts ...zstd.EOption) []byte {
	tb.Helper()
	e, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

// Whatever is packed, at once or as a stream, at either effort, on both sides
// of the window, comes back both ways.
func TestPack_RoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 5000, 300 << 10, MaxWindow, MaxWindow + 7} {
		for _, e := range []Effort{Fast, Thorough} {
			src := text(n)
			frames := map[string][]byte{"whole": Pack([]byte("x"), src, e)[1:]}
			if n >= 256 { // PackTo leaves shorter ones without their size
				var stream bytes.Buffer
				if err := PackTo(&stream, src, e); err != nil {
					t.Fatal(err)
				}
				frames["stream"] = stream.Bytes()
			}
			for name, data := range frames {
				out := make([]byte, n)
				if err := Unpack(out, data); err != nil || !bytes.Equal(out, src) {
					t.Fatalf("%d bytes, %s: unpacked at once: %v", n, name, err)
				}
				var got bytes.Buffer
				if err := UnpackTo(&got, iotest.HalfReader(bytes.NewReader(data)), uint64(n)); err != nil || !bytes.Equal(got.Bytes(), src) {
					t.Fatalf("%d bytes, %s: unpacked as a stream: %v", n, name, err)
				}
				if uint64(n) > MaxUnpacked(uint64(len(data))) {
					t.Fatalf("%d bytes in %d are thought impossible", n, len(data))
				}
			}
		}
	}
}

// What is not one plain frame of the size is refused both ways.
func TestUnpack_RefusesWhatIsNotPlain(t *testing.T) {
	plain := text(5000)
	good := Pack(nil, plain, Fast)
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "skip"...)
	summed := encode(t, plain, zstd.WithEncoderCRC(true))
	wide := encode(t, plain, zstd.WithWindowSize(2*MaxWindow), zstd.WithSingleSegment(false), zstd.WithEncoderLevel(zstd.SpeedDefault))
	wide[5] = 14 << 3 // the window: 16 MiB
	for name, tc := range map[string]struct {
		data []byte
		size int
	}{
		"nothing": {nil, 0}, "size too small": {good, 4999}, "size too big": {good, 5001}, "magic alone": {good[:4], 5000},
		"cut header": {good[:6], 5000}, "cut block header": {good[:8], 5000}, "cut": {good[:len(good)-1], 5000},
		"trailing byte": {append(bytes.Clone(good), 0), 5000}, "two frames": {append(bytes.Clone(good), good...), 10000},
		"two frames of one size": {append(bytes.Clone(good), good...), 5000}, "trailing skip": {append(bytes.Clone(good), skippable...), 5000},
		"leading skip": {append(bytes.Clone(skippable), good...), 5000}, "not zstd": {plain, 5000}, "cut checksum": {summed[:len(summed)-1], 5000},
		"wrong checksum": {append(bytes.Clone(summed[:len(summed)-1]), summed[len(summed)-1]^1), 5000}, "window": {wide, 5000},
	} {
		if err := Unpack(make([]byte, tc.size), tc.data); err == nil {
			t.Errorf("%s: accepted at once", name)
		}
		if err := UnpackTo(io.Discard, bytes.NewReader(tc.data), uint64(tc.size)); err == nil {
			t.Errorf("%s: accepted as a stream", name)
		}
	}
	for name, data := range map[string][]byte{"good": good, "with checksum": summed} {
		if err := Unpack(make([]byte, 5000), data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Errors of the reader and the writer come through.
func TestUnpackTo_PassesErrors(t *testing.T) {
	failed := errors.New("no")
	good := Pack(nil, text(300<<10), Fast)
	r := io.MultiReader(bytes.NewReader(good[:1000]), iotest.ErrReader(failed))
	if err := UnpackTo(io.Discard, r, 300<<10); !errors.Is(err, failed) {
		t.Errorf("reader: %v", err)
	}
	if err := UnpackTo(failing{failed}, bytes.NewReader(good), 300<<10); !errors.Is(err, failed) {
		t.Errorf("writer: %v", err)
	}
	if err := PackTo(failing{failed}, text(300<<10), Fast); !errors.Is(err, failed) {
		t.Errorf("packing: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzUnpack: hostile bytes get the same verdict at once and as a stream,
// whole and byte by byte, and the same content.
func FuzzUnpack(f *testing.F) {
	for _, n := range []int{0, 10, 1000, 300 << 10} {
		f.Add(Pack(nil, text(n), Fast), uint32(n))
	}
	f.Add(encode(f, text(1000), zstd.WithEncoderCRC(true)), uint32(1000))
	f.Add(encode(f, text(300<<10), zstd.WithWindowSize(1<<10)), uint32(300<<10))
	f.Fuzz(func(t *testing.T, data []byte, size uint32) {
		out := make([]byte, size%(1<<20))
		err := Unpack(out, data)
		var stream bytes.Buffer
		if streamed := UnpackTo(&stream, bytes.NewReader(data), uint64(len(out))); (streamed == nil) != (err == nil) {
			t.Fatalf("at once: %v, as a stream: %v", err, streamed)
		}
		if err == nil && !bytes.Equal(stream.Bytes(), out) {
			t.Fatal("the stream gave other bytes")
		}
		walker := NewWalker(uint64(len(out)))
		for i := range data {
			walker.Write(data[i : i+1])
		}
		if whole, pieces := Check(data, uint64(len(out))), walker.Finish(); (whole == nil) != (pieces == nil) {
			t.Fatalf("whole: %v, byte by byte: %v", whole, pieces)
		}
	})
}
