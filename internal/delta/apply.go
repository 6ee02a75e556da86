// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"hash/crc32"

	"github.com/hawserdb/hawser/internal/frame"
)

// Apply returns the target of a delta to base, at most limit bytes. The result
// is the caller's own; nothing else of its size is allocated, and nothing at
// all before the operations are found to be sound. Errors match
// hawser.ErrCorrupt, also when the delta is for a base of another size, and
// hawser.ErrTooLarge.
func Apply(base, delta []byte, limit int64) ([]byte, error) {
	return ApplyInto(nil, base, delta, limit)
}

// ApplyInto is [Apply], but puts the target in the memory of dst if that
// suffices; if not, and dst is not nil, it takes an eighth more than it needs,
// for the next time. Neither base nor delta may overlap dst, which holds
// anything after an error.
func ApplyInto(dst, base, delta []byte, limit int64) ([]byte, error) {
	h, err := admitted(delta, int64(len(base)), limit)
	if err != nil {
		return nil, err
	}
	out := resized(dst, h.Size)
	// The literals are unpacked to the end of the target and move forward from
	// there. No op overtakes them: as long as some are left, at least as much
	// of the target is.
	literals := out[h.Size-h.literals:]
	if err := h.unpack(literals); err != nil {
		return nil, err
	}
	ops := newOpReader(h)
	for at := out; ; {
		o, ok := ops.read()
		if !ok {
			break
		}
		copy(at, literals[:o.insert])
		at, literals = at[o.insert:], literals[o.insert:]
		copy(at, base[o.from:o.from+o.copy])
		at = at[o.copy:]
	}
	return out, nil
}

// resized returns n bytes, of s if it has so many.
func resized(s []byte, n int64) []byte {
	switch {
	case s == nil:
		return make([]byte, n)
	case int64(cap(s)) < n:
		return make([]byte, n, n+n/8)
	}
	return s[:n]
}

// Check reports whether [Apply] takes the delta with some base of baseSize
// bytes, and the size of the target. It holds no more than the window of the
// packed literals, at most 8 MiB. Errors match hawser.ErrCorrupt and
// hawser.ErrTooLarge.
func Check(delta []byte, baseSize, limit int64) (size int64, err error) {
	h, err := admitted(delta, baseSize, limit)
	if err != nil {
		return 0, err
	}
	if !h.zstd {
		return h.Size, h.verify(checksum(h.packed))
	}
	sum := crc32.New(castagnoli)
	if err := frame.UnpackTo(sum, bytes.NewReader(h.packed), uint64(h.literals)); err != nil {
		return 0, corruptLiterals(err)
	}
	return h.Size, h.verify(sum.Sum32())
}

// admitted takes a delta apart and checks all but its literals.
func admitted(delta []byte, baseSize, limit int64) (header, error) {
	h, err := parse(delta)
	if err != nil {
		return header{}, err
	}
	if err := h.admit(baseSize, limit); err != nil {
		return header{}, err
	}
	ops := newOpReader(h)
	for more := true; more; {
		_, more = ops.read()
	}
	return h, ops.finish()
}

// unpack fills out, which has the right length, with the literals.
func (h header) unpack(out []byte) error {
	if !h.zstd {
		copy(out, h.packed)
	} else if err := frame.Unpack(out, h.packed); err != nil {
		return corruptLiterals(err)
	}
	return h.verify(checksum(out))
}

func (h header) verify(crc uint32) error {
	if crc != h.crc {
		return corrupt("literals have checksum %08x, expected %08x", crc, h.crc)
	}
	return nil
}
