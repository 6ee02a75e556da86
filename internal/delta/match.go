// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

var (
	minNear       = 8
	minFar        = 24
	maxCandidates = 4
	spacing0      = 16
	surroundings  = 64 << 10
)

const (
	// hashed is how many bytes of a block are hashed.
	hashed = 16
	// maxEntries bounds the index: larger bases are indexed more thinly.
	maxEntries = 1 << 20
)

// index finds places in the base by the bytes there.
type index struct {
	first   []uint32 // by hash: the newest entry, counted from 1
	older   []uint32 // by entry: the next older one with that hash
	shift   uint
	start   int
	spacing int
}

// build indexes base[from:to].
func (x *index) build(base []byte, from, to int) {
	x.start, x.spacing = from, spacing0
	for (to-from)/x.spacing > maxEntries {
		x.spacing *= 2
	}
	n := max(to-from-hashed+x.spacing, 0) / x.spacing
	size := 1 << bits.Len(uint(max(n, 1<<8)))
	x.shift = uint(64 - bits.TrailingZeros(uint(size)))
	x.first = resized(x.first, size)
	clear(x.first)
	x.older = resized(x.older, n)
	for i := range n {
		h := x.hash(base[from+i*x.spacing:])
		x.older[i] = x.first[h]
		x.first[h] = uint32(i) + 1
	}
}

func resized(s []uint32, n int) []uint32 {
	if cap(s) < n {
		return make([]uint32, n)
	}
	return s[:n]
}

func (x *index) hash(b []byte) uint64 {
	const k0, k1 = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
	lo, hi := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	return (lo*k0 ^ bits.RotateLeft64(hi*k1, 29)) * k0 >> x.shift
}

// matcher expresses target[done:] by copies from base.
type matcher struct {
	base, target []byte
	index        *index
	w            *opWriter
	done         int // what of the target is written
}

func (m *matcher) run(from, to int) {
	m.index.build(m.base, max(from-surroundings, 0), min(to+surroundings, len(m.base)))
	for i := m.done; i+hashed <= len(m.target); {
		at, n, back := m.find(i)
		if n == 0 {
			i++
			continue
		}
		m.w.insert(m.target[m.done : i-back])
		m.w.copy(at-back, n+back)
		i += n
		m.done = i
	}
	m.w.insert(m.target[m.done:])
}

// find returns the best copy for target[i:]: where in the base, how long, and
// how many of the literals before it also match.
func (m *matcher) find(i int) (at, n, back int) {
	next := int(m.w.next)
	word := binary.LittleEndian.Uint64(m.target[i:])
	best := 0
	for _, near := range [2]int{next, next + i - m.done} {
		if near+8 <= len(m.base) && binary.LittleEndian.Uint64(m.base[near:]) == word {
			if k := commonPrefix(m.base[near:], m.target[i:]); k > best {
				at, n, best = near, k, k+minFar-minNear
			}
		}
	}
	if n > 64 {
		return at, n, 0
	}
	best = max(best, minFar-1)
	e := m.index.first[m.index.hash(m.target[i:])]
	for range maxCandidates {
		if e == 0 {
			break
		}
		c := m.index.start + int(e-1)*m.index.spacing
		e = m.index.older[e-1]
		if binary.LittleEndian.Uint64(m.base[c:]) != word {
			continue
		}
		f := commonPrefix(m.base[c:], m.target[i:])
		if f < hashed {
			continue
		}
		b := commonSuffix(m.base[:c], m.target[m.done:i])
		if f+b > best {
			at, n, back, best = c, f, b, f+b
		}
	}
	return at, n, back
}

// commonPrefix returns how many bytes a and b begin with in common.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+256 <= n && bytes.Equal(a[i:i+256], b[i:i+256]); i += 256 {
	}
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// commonSuffix returns how many bytes a and b end with in common.
func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	for ; n >= 256 && bytes.Equal(a[n-256:n], b[n-256:n]); n -= 256 {
	}
	for ; n >= 8; n -= 8 {
		if x := binary.LittleEndian.Uint64(a[n-8:]) ^ binary.LittleEndian.Uint64(b[n-8:]); x != 0 {
			return len(a) - n + bits.LeadingZeros64(x)/8
		}
	}
	for n > 0 && a[n-1] == b[n-1] {
		n--
	}
	return len(a) - n
}
