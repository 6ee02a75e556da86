// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hawserdb/hawser"
)

const testLimit = 8 << 20

// text returns n bytes that pack like an agent's state.
func text(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, `{"step":%d,"role":"assistant","content":"%x and then %d"},`, rng.IntN(1e6), rng.Uint64(), rng.IntN(100))
	}
	return b.Bytes()[:n]
}

func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func zstdFrame(tb testing.TB, b []byte, opts ...zstd.EOption) []byte {
	tb.Helper()
	e, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

func packed(data []byte, size uint64) Content {
	return Content{Kind: Keyframe, Encoding: Zstd, Size: size, CRC32C: Checksum(data), Data: data}
}

// Every state comes back; small and noisy ones are not packed.
func TestEncodeKeyframe_RoundTrip(t *testing.T) {
	for name, tc := range map[string]struct {
		state []byte
		want  Encoding
	}{
		"nil": {nil, Raw}, "short": {[]byte("short"), Raw}, "200": {bytes.Repeat([]byte("a"), 200), Raw},
		"201": {bytes.Repeat([]byte("a"), 201), Zstd}, "noise": {noise(5000), Raw}, "text": {text(250 << 10), Zstd},
		"zeros": {make([]byte, testLimit), Zstd},
	} {
		c := EncodeKeyframe(tc.state)
		if c.Encoding != tc.want {
			t.Errorf("%s: %s", name, c.Encoding)
		}
		stored, err := ParseContent(AppendContent(nil, c))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := stored.Decode(testLimit)
		if err != nil || !bytes.Equal(got, tc.state) {
			t.Errorf("%s: %d bytes came back, %v", name, len(got), err)
		}
		if err := Verify(stored, sha256.Sum256(tc.state), testLimit); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := Verify(stored, hawser.Hash{1}, testLimit); !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%s: another hash: %v", name, err)
		}
	}
}

// What no encoder of ours makes is refused, with the checksum right.
func TestDecode_RefusesHostileBytes(t *testing.T) {
	plain := text(5000)
	good := zstdFrame(t, plain, zstd.WithSingleSegment(true))
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "skip"...)
	for name, tc := range map[string]struct {
		c    Content
		want error
	}{
		"too large":         {packed(good, testLimit+1), hawser.ErrTooLarge},
		"size too small":    {packed(good, 4999), hawser.ErrCorrupt},
		"size too big":      {packed(good, 5001), hawser.ErrCorrupt},
		"a bomb's size":     {packed(good[:20], testLimit), hawser.ErrCorrupt},
		"cut":               {packed(good[:len(good)-1], 5000), hawser.ErrCorrupt},
		"trailing byte":     {packed(append(bytes.Clone(good), 0), 5000), hawser.ErrCorrupt},
		"trailing frame":    {packed(append(bytes.Clone(good), good...), 5000), hawser.ErrCorrupt},
		"trailing skip":     {packed(append(bytes.Clone(good), skippable...), 5000), hawser.ErrCorrupt},
		"leading skip":      {packed(append(bytes.Clone(skippable), good...), 5000), hawser.ErrCorrupt},
		"not zstd":          {packed(plain, 5000), hawser.ErrCorrupt},
		"empty":             {packed(nil, 0), hawser.ErrCorrupt},
		"raw of other size": {Content{Kind: Keyframe, Encoding: Raw, Size: 3, CRC32C: Checksum(plain), Data: plain}, hawser.ErrCorrupt},
		"kind":              {Content{Kind: 9, Encoding: Raw, CRC32C: Checksum(nil)}, hawser.ErrCorrupt},
		"encoding":          {Content{Kind: Keyframe, Encoding: 9, CRC32C: Checksum(nil)}, hawser.ErrCorrupt},
		"checksum":          {Content{Kind: Keyframe, Encoding: Raw, Size: 1, Data: []byte("x")}, hawser.ErrCorrupt},
	} {
		if _, err := tc.c.Decode(testLimit); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	for name, data := range map[string][]byte{"with checksum": zstdFrame(t, plain, zstd.WithEncoderCRC(true)), "best": zstdFrame(t, plain, zstd.WithEncoderLevel(zstd.SpeedBestCompression))} {
		if got, err := packed(data, 5000).Decode(testLimit); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every single bit flip of the stored form is noticed.
func TestStored_NoticesBitFlips(t *testing.T) {
	state := text(1000)
	good := AppendContent(nil, EncodeKeyframe(state))
	sum := hawser.Hash(sha256.Sum256(state))
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		c, err := ParseContent(bad)
		if err == nil {
			err = Verify(c, sum, testLimit)
		}
		if err == nil {
			t.Fatalf("bit %d of byte %d", i%8, i/8)
		}
	}
}

// FuzzDecode: hostile bytes give an error or at most the declared size.
func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 10, 1000, 300 << 10} {
		f.Add(AppendContent(nil, EncodeKeyframe(text(n))))
	}
	f.Add(AppendContent(nil, packed(zstdFrame(f, text(1000), zstd.WithEncoderCRC(true)), 1000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseContent(data)
		if err != nil {
			return
		}
		if got := AppendContent(nil, c); !bytes.Equal(got, data) {
			t.Fatalf("parsed from %x\nstores as %x", data, got)
		}
		c.CRC32C, c.Parts = Checksum(c.Data), 0 // let the fuzzer past them
		const limit = 1 << 20
		out, err := c.Decode(limit)
		if err == nil && (uint64(len(out)) != c.Size || len(out) > limit) {
			t.Fatalf("%d bytes of declared %d", len(out), c.Size)
		}
		if err != nil && !errors.Is(err, hawser.ErrCorrupt) && !errors.Is(err, hawser.ErrTooLarge) {
			t.Fatal(err)
		}
	})
}

func BenchmarkEncodeKeyframe(b *testing.B) {
	for _, n := range []int{1 << 10, 250 << 10} {
		state := text(n)
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			var c Content
			for b.Loop() {
				c = EncodeKeyframe(state)
			}
			b.ReportMetric(float64(n)/float64(len(c.Data)), "ratio")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1 << 10, 250 << 10} {
		c := EncodeKeyframe(text(n))
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Decode(testLimit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Kinds and encodings print as words, also those of a later version.
func TestStrings(t *testing.T) {
	got := strings.Join([]string{Keyframe.String(), Delta.String(), Kind(9).String(), Raw.String(), Zstd.String(), Encoding(9).String()}, ", ")
	if want := "keyframe, delta, kind 9, raw, zstd, encoding 9"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
