// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/trace"
)

// The chain rule, each of its reasons just below and just above.
func TestChain_NeedsKeyframe(t *testing.T) {
	for _, tc := range []struct {
		c     Chain
		delta int64
		want  bool
	}{
		{Chain{}, 1, true},
		{Chain{Keyframe: 100}, 50, false},
		{Chain{Keyframe: 100}, 51, true},
		{Chain{Keyframe: 100, Deltas: 63, DeltaBytes: 63}, 1, false},
		{Chain{Keyframe: 100, Deltas: 64, DeltaBytes: 64}, 1, true},
		{Chain{Keyframe: 100, Deltas: 9, DeltaBytes: 350}, 50, false},
		{Chain{Keyframe: 100, Deltas: 9, DeltaBytes: 351}, 50, true},
	} {
		if got := tc.c.NeedsKeyframe(tc.delta); got != tc.want {
			t.Errorf("%+v, delta of %d: %v", tc.c, tc.delta, got)
		}
	}
}

// Adding deltas gives the sum that the rule speaks of.
func TestChain_Add(t *testing.T) {
	if got, want := (Chain{Keyframe: 100}).Add(3).Add(4), (Chain{Keyframe: 100, Deltas: 2, DeltaBytes: 7}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Every state gets a delta from any other, unless most of it is new and it is
// not short.
func TestEncodeDelta_GivesUp(t *testing.T) {
	large, other := noise(3<<20), text(3<<20)
	for name, tc := range map[string]struct {
		base, target []byte
		want         bool
	}{
		"short": {[]byte("a"), []byte("b"), true}, "new": {other[:300], large[:300], false}, "large, new": {other, large, false},
		"large, from nothing": {nil, large, false}, "large, half new": {large[:2<<20], append(bytes.Clone(large[:2<<20]), other[:2<<20]...), true},
	} {
		c, ok := EncodeDelta(tc.base, tc.target)
		if ok != tc.want {
			t.Errorf("%s: %v", name, ok)
		}
		if !ok {
			continue
		}
		got, err := Materialise([]Content{EncodeKeyframe(tc.base), c}, testLimit)
		if err != nil || !bytes.Equal(got, tc.target) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func deltaOf(tb testing.TB, base, target string) Content {
	tb.Helper()
	c, ok := EncodeDelta([]byte(base), []byte(target))
	if !ok {
		tb.Fatalf("no delta from %q to %q", base, target)
	}
	return c
}

// A chain is rebuilt in order; one that is no chain, or grows too long, is refused.
func TestMaterialise(t *testing.T) {
	key := EncodeKeyframe([]byte("a"))
	chain := []Content{key, deltaOf(t, "a", "ab"), deltaOf(t, "ab", "abc")}
	got, err := Materialise(chain, 3)
	if err != nil || string(got) != "abc" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := Materialise(chain, 2); !errors.Is(err, hawser.ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
	zipped := deltaOf(t, "a", "ab")
	zipped.Encoding, zipped.Data = Zstd, zstdFrame(t, zipped.Data, zstd.WithSingleSegment(true))
	zipped.CRC32C = Checksum(zipped.Data)
	for name, tc := range map[string]struct {
		chain []Content
		want  error
	}{
		"empty": {nil, hawser.ErrCorrupt}, "no keyframe": {chain[1:], hawser.ErrCorrupt}, "two keyframes": {[]Content{key, key}, hawser.ErrCorrupt},
		"too long": {make([]Content, MaxChain+1), hawser.ErrCorrupt}, "packed delta": {[]Content{key, zipped}, hawser.ErrCorrupt},
		"damaged":      {[]Content{key, {Kind: Delta, Encoding: Raw, Size: 1, Data: []byte("x")}}, hawser.ErrCorrupt},
		"out of order": {[]Content{key, chain[2], chain[1]}, hawser.ErrCorrupt},
		"not loaded":   {[]Content{key, {Kind: Delta, Encoding: Raw, Size: 1, Parts: 1}}, hawser.ErrInternal},
	} {
		if _, err := Materialise(tc.chain, 100); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// longChain returns a chain of the longest kind and the states of it. The
// keyframe may be as it is, not packed.
func longChain(tb testing.TB, packed bool) ([]Content, [][]byte) {
	tb.Helper()
	states := slices.Collect(trace.Generate(1, MaxChain))
	key := EncodeKeyframe(states[0])
	if !packed {
		key = Content{Kind: Keyframe, Encoding: Raw, Size: uint64(len(states[0])), Data: bytes.Clone(states[0]), CRC32C: Checksum(states[0])}
	}
	chain := []Content{key}
	for i, target := range states[1:] {
		c, ok := EncodeDelta(states[i], target)
		if !ok {
			tb.Fatalf("no delta to state %d", i+1)
		}
		chain = append(chain, c)
	}
	return chain, states
}

// States all along a long chain are rebuilt, and what is stored stays as it is:
// the buffers that take turns are none of it.
func TestMaterialise_LongChain(t *testing.T) {
	for _, packed := range []bool{true, false} {
		chain, states := longChain(t, packed)
		for i, want := range states {
			if i%8 != 0 && i != 1 {
				continue
			}
			if got, err := Materialise(chain[:i+1], testLimit); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("state %d, keyframe packed: %v: %v", i, packed, err)
			}
		}
		for i, c := range chain {
			if Checksum(c.Data) != c.CRC32C {
				t.Fatalf("content %d was changed", i)
			}
		}
	}
}

// A chain with a damaged delta gives an error, or the right number of bytes:
// the hash of the state decides.
func FuzzMaterialise(f *testing.F) {
	base, target := text(3000), append(text(2000), noise(500)...)
	c, ok := EncodeDelta(base, target)
	if !ok {
		f.Fatal("no delta")
	}
	f.Add(base, c.Data, c.Data)
	f.Fuzz(func(t *testing.T, base, first, second []byte) {
		const limit = 1 << 20
		content := func(d []byte) Content {
			return Content{Kind: Delta, Encoding: Raw, Size: uint64(len(d)), CRC32C: Checksum(d), Data: d}
		}
		got, err := Materialise([]Content{EncodeKeyframe(base), content(first), content(second)}, limit)
		switch {
		case err == nil && len(got) > limit:
			t.Fatalf("%d bytes", len(got))
		case err != nil && !errors.Is(err, hawser.ErrCorrupt) && !errors.Is(err, hawser.ErrTooLarge):
			t.Fatal(err)
		}
	})
}

func BenchmarkMaterialise(b *testing.B) {
	chain, states := longChain(b, true)
	b.SetBytes(int64(len(states[len(states)-1])))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Materialise(chain, testLimit); err != nil {
			b.Fatal(err)
		}
	}
}
