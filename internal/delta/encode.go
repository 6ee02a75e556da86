// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"sync"

	"github.com/hawserdb/hawser/internal/frame"
)

const (
	// minPacked is the fewest literals worth packing.
	minPacked = 64
	// maxThorough is the most literals that are packed with effort; more are
	// packed fast.
	maxThorough = 1 << 20
	// keepScratch is the most memory of one kind that a pooled scratch keeps.
	keepScratch = 4 << 20
)

// scratch is the memory of one Encode.
type scratch struct {
	w     opWriter
	index index
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Encode returns a delta from base to target. It keeps neither. The result may
// be longer than target if the two have nothing in common.
func Encode(base, target []byte) []byte {
	d, _ := EncodeWithin(base, target, len(target))
	return d
}

// EncodeWithin is [Encode], but gives up and returns false as soon as it would
// have to insert more than maxLiterals bytes. Two large states with little in
// common then cost little time and memory.
func EncodeWithin(base, target []byte, maxLiterals int) ([]byte, bool) {
	s := scratches.Get().(*scratch)
	defer s.release()
	s.w = opWriter{ops: s.w.ops[:0], literals: s.w.literals[:0]}
	if !s.match(base, target, maxLiterals) {
		return nil, false
	}
	h := header{
		Info:     Info{BaseSize: int64(len(base)), Size: int64(len(target))},
		literals: int64(len(s.w.literals)), crc: checksum(s.w.literals), ops: s.w.ops,
	}
	return h.appendPacked(make([]byte, 0, maxHeader+len(h.ops)+len(s.w.literals)/2), s.w.literals), true
}

// appendPacked appends the delta, with the literals packed if that is shorter.
func (h header) appendPacked(dst, literals []byte) []byte {
	start := len(dst)
	dst = h.appendHead(dst, formatZstd)
	head := len(dst)
	if len(literals) >= minPacked {
		effort := frame.Thorough
		if len(literals) > maxThorough {
			effort = frame.Fast
		}
		dst = frame.Pack(dst, literals, effort)
		if len(dst)-head < len(literals) {
			return dst
		}
	}
	dst[start] = formatRaw
	return append(dst[:head], literals...)
}

// match writes the ops: the common prefix and suffix, and in between what
// matcher finds. It returns false if that takes too many literals.
func (s *scratch) match(base, target []byte, maxLiterals int) bool {
	prefix := commonPrefix(base, target)
	if prefix < minNear {
		prefix = 0
	}
	suffix := commonSuffix(base[prefix:], target[prefix:])
	if suffix < minNear {
		suffix = 0
	}
	if prefix > 0 {
		s.w.copy(0, prefix)
	}
	end := len(target) - suffix
	if prefix < end {
		m := matcher{base: base, target: target[:end], index: &s.index, w: &s.w, done: prefix}
		if !m.run(len(base)-suffix, maxLiterals) {
			return false
		}
	}
	if suffix > 0 {
		s.w.copy(len(base)-suffix, suffix)
	}
	s.w.finish()
	return true
}

// release gives the scratch back, without what would keep much memory for
// one large state.
func (s *scratch) release() {
	if cap(s.w.literals) > keepScratch || cap(s.w.ops) > keepScratch {
		s.w = opWriter{}
	}
	if 4*cap(s.index.first) > keepScratch {
		s.index = index{}
	}
	scratches.Put(s)
}
