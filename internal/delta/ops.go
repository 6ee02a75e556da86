// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"encoding/binary"
	"math"
)

// op is one step of a delta: insert the next literals, then copy from the
// base. It may insert nothing; only the last may copy nothing.
type op struct {
	insert     int64
	from, copy int64
}

// opWriter makes the ops and gathers the literals.
type opWriter struct {
	ops      []byte
	literals []byte
	pending  int   // literals since the last copy
	next     int64 // where the last copy ended in the base
}

func (w *opWriter) insert(b []byte) {
	w.literals = append(w.literals, b...)
	w.pending += len(b)
}

func (w *opWriter) copy(from, n int) {
	w.ops = binary.AppendUvarint(w.ops, uint64(w.pending))
	w.ops = binary.AppendVarint(w.ops, int64(from)-w.next)
	w.ops = binary.AppendUvarint(w.ops, uint64(n))
	w.pending, w.next = 0, int64(from)+int64(n)
}

// finish writes the op that copies nothing, if one is needed.
func (w *opWriter) finish() {
	if w.pending > 0 {
		w.ops = binary.AppendUvarint(w.ops, uint64(w.pending))
		w.pending = 0
	}
}

// opReader hands out the ops of a delta, each checked: what it makes stays
// within the size, what it inserts within the literals, what it copies within
// the base.
type opReader struct {
	reader
	base     int64 // length of the base
	left     int64 // bytes still to make
	literals int64 // of these, to insert
	next     int64
}

func newOpReader(h header) opReader {
	return opReader{reader: reader{b: h.ops}, base: h.BaseSize, left: h.Size, literals: h.literals}
}

// read returns the next op. It returns false at the end, and finish says
// whether that was the right one.
func (r *opReader) read() (op, bool) {
	if r.bad || r.left == 0 {
		return op{}, false
	}
	o := op{insert: r.length()}
	if r.bad || o.insert > r.literals {
		r.bad = true
		return op{}, false
	}
	r.left -= o.insert
	r.literals -= o.insert
	if r.left == 0 {
		return o, true
	}
	o.from = r.next + r.signed()
	o.copy = r.length()
	if r.bad || o.copy == 0 || o.copy > r.left-r.literals || o.from < 0 || o.from > r.base || o.copy > r.base-o.from {
		r.bad = true
		return op{}, false
	}
	r.left -= o.copy
	r.next = o.from + o.copy
	return o, true
}

func (r *opReader) finish() error {
	if r.bad || r.left != 0 || r.literals != 0 || len(r.b) != 0 {
		return corrupt("has an operation that leads out of the base or the target, or does not end with it")
	}
	return nil
}

// reader reads varints, each in its shortest form.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // most are short
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length reads a length, which is at most what an int64 holds.
func (r *reader) length() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.bad = true
		return 0
	}
	return int64(v)
}

// signed reads a distance; it is so short that it can be added to a length.
func (r *reader) signed() int64 {
	u := r.uvarint()
	v := int64(u>>1) ^ -int64(u&1)
	if v > math.MaxInt64/2 || v < math.MinInt64/2 {
		r.bad = true
		return 0
	}
	return v
}
