// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/frame"
)

// FuzzRoundTrip: any target comes back from any base.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(nil), []byte(nil))
	f.Add([]byte("a"), []byte("b"))
	f.Add(text(1, 5000), join(text(2, 50), text(1, 3000), text(3, 200), text(1, 5000)[4000:]))
	f.Add(bytes.Repeat([]byte("a"), 300), bytes.Repeat([]byte("a"), 500))
	f.Add(noise(1, 300), join(noise(1, 300)[100:], noise(1, 300)[:200]))
	f.Fuzz(func(t *testing.T, base, target []byte) {
		roundTrip(t, base, target)
		// As parts of something larger, so that more than the ends is matched.
		roundTrip(t, join([]byte("<"), base, target, []byte(">")), join([]byte("("), target, base, target, []byte(")")))
	})
}

// FuzzApply: hostile bytes give an error or a target of the declared size, and
// Check says the same without the base. So they do with the checksum put right.
func FuzzApply(f *testing.F) {
	base := text(1, 5000)
	f.Add([]byte(nil), Encode(nil, nil))
	f.Add(base, Encode(base, nil))
	f.Add(base, Encode(base, join(text(2, 50), base[:3000], text(3, 200), base[4000:])))
	f.Add(base, Encode(base, join(base, noise(1, 1000))))
	f.Add([]byte("0123456789"), built(10, 9, []byte{1, 6, 2, 0, 9, 3, 2, 2, 1}, "abc"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		applyHostile(t, base, delta)
		h, err := parse(delta)
		if err != nil {
			return
		}
		const limit = 1 << 20
		if h.zstd && h.literals > limit {
			return
		}
		if literals := h.packed; !h.zstd {
			h.crc = checksum(literals)
		} else if literals, err = frameContent(h); err != nil {
			return
		} else {
			h.crc = checksum(literals)
		}
		h.BaseSize = int64(len(base))
		applyHostile(t, base, h.append(nil))
	})
}

// frameContent unpacks literals whose checksum may be wrong.
func frameContent(h header) ([]byte, error) {
	out := make([]byte, h.literals)
	return out, frame.Unpack(out, h.packed)
}

func applyHostile(t *testing.T, base, delta []byte) {
	t.Helper()
	const limit = 1 << 20
	got, err := Apply(base, delta, limit)
	size, checked := Check(delta, int64(len(base)), limit)
	if (err == nil) != (checked == nil) {
		t.Fatalf("apply: %v, check: %v", err, checked)
	}
	if err != nil {
		if !errors.Is(err, hawser.ErrCorrupt) && !errors.Is(err, hawser.ErrTooLarge) {
			t.Fatal(err)
		}
		return
	}
	if info, err := Inspect(delta); err != nil || info.Size != size || int64(len(got)) != size || size > limit || info.BaseSize != int64(len(base)) {
		t.Fatalf("%d bytes, check says %d, inspect %+v, %v", len(got), size, info, err)
	}
}
