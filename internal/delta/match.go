// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	// minNear is the shortest copy from where the base is expected to go on: its
	// op takes three bytes. minFar is the shortest from elsewhere: its op takes
	// about five, and packed literals a quarter of their length.
	minNear, minFar = 8, 28
	// goodNear is a copy from where the base goes on that is long enough to
	// look no further.
	goodNear = 64
	// maxCandidates bounds the places in the base that are compared for one in
	// the target.
	maxCandidates = 4
	// Each patience bytes that match nothing, the search takes larger steps, up
	// to maxStep. Steps are odd, so that they do not keep missing the entries,
	// which are a power of two apart.
	patience, maxStep = 32 << 10, 33
	// hashed is how many bytes of an entry's place are hashed.
	hashed = 16
	// spacing is how far the entries of the index are apart. Bases that would
	// take more than maxEntries are indexed more thinly.
	spacing, maxEntries = 16, 1 << 20
	// Besides what is not common to base and target, the index holds so many
	// bytes of the base on both sides for each byte of the target that is to be
	// expressed, up to maxMargin: new text resembles the text around it.
	margin, maxMargin = 128, 256 << 10
)

// index finds places in the base by the bytes there.
type index struct {
	first   []uint32 // by hash: the first entry, counted from 1; 0 for none
	next    []uint32 // by entry: the next one with that hash
	shift   uint     // leaves as many bits of a hash as first needs
	start   int      // of entry 0 in the base
	spacing int
}

// build indexes base[from:to]. Entries of one hash are found in the order of
// the base, so that of a long run its beginning is found, which copies most.
func (x *index) build(base []byte, from, to int) {
	x.start, x.spacing = from, spacing
	for (to-from)/x.spacing > maxEntries {
		x.spacing *= 2
	}
	n := max(to-from-hashed+x.spacing, 0) / x.spacing
	size := 1 << bits.Len(uint(max(n, 1<<8)))
	x.shift = uint(64 - bits.TrailingZeros(uint(size)))
	x.first = entries(x.first, size)
	clear(x.first)
	x.next = entries(x.next, n)
	for i := n - 1; i >= 0; i-- {
		h := x.hash(base[from+i*x.spacing:])
		x.next[i] = x.first[h]
		x.first[h] = uint32(i) + 1
	}
}

// entries returns n numbers, of s if it has so many; they may be anything.
func entries(s []uint32, n int) []uint32 {
	if cap(s) < n {
		return make([]uint32, n)
	}
	return s[:n]
}

// place returns where in the base an entry is, and the next entry.
func (x *index) place(entry uint32) (at int, next uint32) {
	return x.start + int(entry-1)*x.spacing, x.next[entry-1]
}

// hash hashes the first bytes of b, which has at least hashed.
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

// run expresses the target from done on. What is not common to base and target
// ends at to in the base. It returns false as soon as there are more literals
// than allowed.
func (m *matcher) run(to, maxLiterals int) bool {
	around := min(margin*(len(m.target)-m.done), maxMargin)
	m.index.build(m.base, max(m.done-around, 0), min(to+around, len(m.base)))
	for i := m.done; i+hashed <= len(m.target); {
		c := m.find(i)
		if c.length == 0 {
			if len(m.w.literals)+i-m.done > maxLiterals {
				return false
			}
			i += min(1+2*((i-m.done)/patience), maxStep)
			continue
		}
		m.w.insert(m.target[m.done : i-c.before])
		m.w.copy(c.at-c.before, c.before+c.length)
		i += c.length
		m.done = i
	}
	if len(m.w.literals)+len(m.target)-m.done > maxLiterals {
		return false
	}
	m.w.insert(m.target[m.done:])
	return true
}

// match is a place in the base that a place in the target is equal to, for
// length bytes from there on and for some before.
type match struct{ at, before, length int }

// find returns the best match for target[i:], one of no length if there is
// none that pays. What it compares in vain is at most a few times what the
// match that it returns covers, so that hostile input takes no longer.
func (m *matcher) find(i int) match {
	word := binary.LittleEndian.Uint64(m.target[i:])
	best := m.near(i, word)
	if best.length >= goodNear {
		return best
	}
	least := minFar
	if best.length > 0 {
		least = best.length + minFar - minNear
	}
	entry := m.index.first[m.index.hash(m.target[i:])]
	for range maxCandidates {
		if entry == 0 {
			break
		}
		var at int
		at, entry = m.index.place(entry)
		if binary.LittleEndian.Uint64(m.base[at:]) != word {
			continue
		}
		c := match{at: at, length: commonPrefix(m.base[at:], m.target[i:]), before: commonSuffix(m.base[:at], m.target[m.done:i])}
		if c.before+c.length >= least {
			best, least = c, c.before+c.length+1
		}
	}
	return best
}

// near looks where the base is expected to go on: where the last copy ended,
// as if bytes were inserted, and as far behind that as the literals since,
// as if bytes were replaced by as many.
func (m *matcher) near(i int, word uint64) match {
	var best match
	for _, at := range [...]int{int(m.w.next), int(m.w.next) + i - m.done} {
		if at+minNear > len(m.base) || binary.LittleEndian.Uint64(m.base[at:]) != word {
			continue
		}
		if n := commonPrefix(m.base[at:], m.target[i:]); n > best.length {
			best = match{at: at, length: n}
		}
	}
	return best
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
