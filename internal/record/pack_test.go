// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hawserdb/hawser"
)

// pack returns the content of a state and its parts, put together.
func pack(t *testing.T, state []byte) Content {
	t.Helper()
	var data []byte
	var sizes []int
	c, err := Pack(state, func(part []byte) error {
		data, sizes = append(data, part...), append(sizes, len(part))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		if n > PartSize || n == 0 || i < len(sizes)-1 && n != PartSize {
			t.Fatalf("part %d of %d has %d bytes", i, len(sizes), n)
		}
	}
	if int(c.Parts) != len(sizes) || c.Data != nil || c.Size != uint64(len(state)) {
		t.Fatalf("%+v for %d bytes in %d parts", c, len(state), len(sizes))
	}
	c.Data = data
	return c
}

// A state of any size and texture that is packed in parts decodes, verifies
// as a whole and in pieces, and is not stored longer than it is.
func TestPack_RoundTrip(t *testing.T) {
	const limit = 16 << 20
	for name, tc := range map[string]struct {
		state []byte
		want  Encoding
	}{
		"empty": {nil, Raw}, "short": {[]byte("short"), Raw}, "one part": {text(200 << 10), Zstd}, "sample": {text(1 << 20), Zstd},
		"stream": {text(1<<20 + 1), Zstd}, "window": {text(9 << 20), Zstd}, "noise": {noise(3<<20 + 7), Raw},
		"noise after text": {append(text(1<<20), noise(5<<20)...), Zstd}, "zeros": {make([]byte, limit), Zstd},
	} {
		c := pack(t, tc.state)
		if before := PackEncoding(tc.state); c.Encoding != tc.want || before != tc.want {
			t.Errorf("%s: %s, said before: %s", name, c.Encoding, before)
		}
		if got, err := c.Decode(limit); err != nil || !bytes.Equal(got, tc.state) {
			t.Errorf("%s: decode: %v", name, err)
		}
		if err := verifyInPieces(c, sha256.Sum256(tc.state), limit, PartSize); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := verifyInPieces(c, hawser.Hash{1}, limit, PartSize); !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%s: another hash: %v", name, err)
		}
	}
}

// An error of emit, early or late, ends packing and is returned.
func TestPack_StopsWithEmit(t *testing.T) {
	failed := errors.New("no")
	for name, state := range map[string][]byte{"small": text(900 << 10), "streamed": text(9 << 20), "raw": noise(1 << 20)} {
		calls := 0
		if _, err := Pack(state, func([]byte) error { calls++; return failed }); !errors.Is(err, failed) || calls != 1 {
			t.Errorf("%s: %v after %d calls", name, err, calls)
		}
	}
}

// PartsOf cuts as Pack does, and nothing gets lost.
func TestPartsOf(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, PartSize: 1, PartSize + 1: 2, 3 * PartSize: 3} {
		data := noise(n)
		parts := PartsOf(data)
		if len(parts) != want || !bytes.Equal(bytes.Join(parts, nil), data) {
			t.Errorf("%d bytes: %d parts", n, len(parts))
		}
	}
}

// verifyInPieces verifies c in pieces of n bytes.
func verifyInPieces(c Content, sha hawser.Hash, limit int64, n int) error {
	v, err := NewVerifier(c, limit)
	if err != nil {
		return err
	}
	defer v.Close()
	for data := c.Data; len(data) > 0; data = data[min(n, len(data)):] {
		if _, err := v.Write(data[:min(n, len(data))]); err != nil {
			return err
		}
	}
	return v.Finish(c.CRC32C, sha)
}

// What Decode refuses, a verifier refuses, whatever the pieces.
func TestVerifier_Refuses(t *testing.T) {
	state := text(300 << 10)
	sum := hawser.Hash(sha256.Sum256(state))
	good := EncodeKeyframe(state)
	with := func(change func(*Content)) Content {
		c := good
		c.Data = bytes.Clone(c.Data)
		change(&c)
		return c
	}
	endless := with(func(c *Content) {
		c.Data, c.Size = zstdFrame(t, nil, zstd.WithZeroFrames(true)), 0
		c.Data = append(c.Data[:len(c.Data)-3], bytes.Repeat([]byte{0, 0, 0}, 1000)...) // empty blocks, none the last
		c.Data = append(c.Data, 1, 0, 0)
		c.CRC32C = Checksum(c.Data)
	})
	for name, tc := range map[string]struct {
		c    Content
		want error
	}{
		"kind":          {with(func(c *Content) { c.Kind = Delta }), hawser.ErrCorrupt},
		"encoding":      {with(func(c *Content) { c.Encoding = 9 }), hawser.ErrCorrupt},
		"too large":     {with(func(c *Content) { c.Size = testLimit + 1 }), hawser.ErrTooLarge},
		"size":          {with(func(c *Content) { c.Size++ }), hawser.ErrCorrupt},
		"checksum":      {with(func(c *Content) { c.CRC32C++ }), hawser.ErrCorrupt},
		"cut":           {with(func(c *Content) { c.Data = c.Data[:len(c.Data)-1] }), hawser.ErrCorrupt},
		"nothing":       {with(func(c *Content) { c.Data = nil }), hawser.ErrCorrupt},
		"trailing byte": {with(func(c *Content) { c.Data = append(c.Data, 0) }), hawser.ErrCorrupt},
		"two frames":    {with(func(c *Content) { c.Data = append(c.Data, c.Data...) }), hawser.ErrCorrupt},
		"endless":       {endless, hawser.ErrCorrupt},
		"raw, short":    {Content{Kind: Keyframe, Encoding: Raw, Size: uint64(len(state)), Data: state[1:], CRC32C: Checksum(state[1:])}, hawser.ErrCorrupt},
		"raw, long":     {Content{Kind: Keyframe, Encoding: Raw, Size: 1, Data: state, CRC32C: Checksum(state)}, hawser.ErrCorrupt},
	} {
		for _, n := range []int{1000, PartSize, 1 << 20} {
			if err := verifyInPieces(tc.c, sum, testLimit, n); !errors.Is(err, tc.want) {
				t.Errorf("%s in pieces of %d: %v, want %v", name, n, err, tc.want)
			}
		}
		if err := Verify(tc.c, sum, testLimit); !errors.Is(err, tc.want) {
			t.Errorf("%s at once: %v, want %v", name, err, tc.want)
		}
	}
}

// A verifier that is given up ends its goroutine, and fails from then on.
func TestVerifier_Close(t *testing.T) {
	before := runtime.NumGoroutine()
	c := EncodeKeyframe(text(300 << 10))
	for range 10 {
		v, err := NewVerifier(c, testLimit)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Write(c.Data[:1000]); err != nil {
			t.Fatal(err)
		}
		v.Close()
		v.Close()
		if _, err := v.Write(c.Data[1000:]); err == nil {
			t.Fatal("a closed verifier takes bytes")
		}
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines, before %d", now, before)
	}
}

// Claim: verifying takes memory that does not depend on the size of the state.
// Method: what is allocated in all for 64 MiB, while the parts are made from
// one repeated state, stays below what the windows of packing and unpacking
// need.
func TestVerifier_ConstantMemory(t *testing.T) {
	state := bytes.Repeat(text(1<<20), 64)
	sum := hawser.Hash(sha256.Sum256(state))
	c := pack(t, state)
	if err := verifyInPieces(c, sum, 64<<20, PartSize); err != nil { // fills the pools
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := verifyInPieces(c, sum, 64<<20, PartSize); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 12<<20 {
		t.Errorf("verifying 64 MiB allocated %d bytes", got)
	}
	runtime.ReadMemStats(&before)
	if _, err := Pack(state, func([]byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 24<<20 {
		t.Errorf("packing 64 MiB allocated %d bytes", got)
	}
}

// FuzzVerifier: for any bytes, a verifier and Decode come to the same verdict.
func FuzzVerifier(f *testing.F) {
	for _, n := range []int{0, 10, 1000, 300 << 10} {
		c := EncodeKeyframe(text(n))
		f.Add(c.Data, byte(c.Encoding), uint32(n), uint16(100))
	}
	f.Add(zstdFrame(f, text(1000), zstd.WithEncoderCRC(true)), byte(Zstd), uint32(1000), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, encoding byte, size uint32, piece uint16) {
		const limit = 1 << 20
		c := Content{Kind: Keyframe, Encoding: Encoding(encoding), Size: uint64(size), Data: data, CRC32C: Checksum(data)}
		state, whole := c.Decode(limit)
		pieces := verifyInPieces(c, sha256.Sum256(state), limit, int(piece)+1)
		if (whole == nil) != (pieces == nil) {
			t.Fatalf("at once: %v, in pieces: %v", whole, pieces)
		}
	})
}

// Content with parts is stored without them, and can be decoded once they are
// loaded.
func TestStored_Parts(t *testing.T) {
	state := text(900 << 10)
	loaded := pack(t, state)
	loaded.Upload = [16]byte{1, 2, 3}
	form := AppendContent(nil, loaded)
	if len(form) > 40 {
		t.Errorf("stored in %d bytes", len(form))
	}
	c, err := ParseContent(form)
	if err != nil || c.Parts != loaded.Parts || c.Upload != loaded.Upload || c.Data != nil || c.Size != loaded.Size {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := c.Decode(testLimit); !errors.Is(err, hawser.ErrInternal) {
		t.Errorf("without its parts: %v", err)
	}
	c.Data = loaded.Data
	if err := Verify(c, sha256.Sum256(state), testLimit); err != nil {
		t.Error(err)
	}
	c.Parts++
	if _, err := c.Decode(testLimit); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("with a part too many: %v", err)
	}
	for name, form := range map[string][]byte{"cut": form[:len(form)-1], "long": append(form, 0)} {
		if _, err := ParseContent(form); !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkPack(b *testing.B) {
	state := text(16 << 20)
	b.SetBytes(int64(len(state)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Pack(state, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifier(b *testing.B) {
	state := text(16 << 20)
	var parts [][]byte
	c, err := Pack(state, func(part []byte) error { parts = append(parts, bytes.Clone(part)); return nil })
	if err != nil {
		b.Fatal(err)
	}
	c.Data = bytes.Join(parts, nil)
	sum := sha256.Sum256(state)
	b.SetBytes(int64(len(state)))
	b.ReportAllocs()
	for b.Loop() {
		if err := verifyInPieces(c, sum, 16<<20, PartSize); err != nil {
			b.Fatal(err)
		}
	}
}
