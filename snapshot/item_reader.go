// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"math"

	"github.com/hawserdb/hawser"
)

// itemReader reads the body of an item. The first fault sticks; all later
// reads return zero values. It never allocates by a length that it read before
// it has seen so many bytes.
type itemReader struct {
	b     []byte
	fault string
}

func (r *itemReader) fail(fault string) {
	if r.fault == "" {
		r.fault = fault
	}
	r.b = nil
}

func (r *itemReader) check(ok bool, fault string) {
	if !ok {
		r.fail(fault)
	}
}

func (r *itemReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("it is cut short")
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *itemReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *itemReader) fixed32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// uvarint takes the shortest form only, so that a value has one encoding.
func (r *itemReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("it holds a malformed number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *itemReader) int63() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.fail("it holds an absurd number")
		return 0
	}
	return int64(v)
}

// below reads a number of at most limit.
func (r *itemReader) below(limit uint32) uint32 {
	v := r.uvarint()
	if v > uint64(limit) {
		r.fail("it holds an absurd number")
		return 0
	}
	return uint32(v)
}

func (r *itemReader) position() uint32 { return r.below(maxPosition) }

// flags reads a byte with so many bits.
func (r *itemReader) flags(bits int) byte {
	b := r.byte()
	r.check(b>>bits == 0, "it has an unknown flag")
	return b
}

func (r *itemReader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("it is cut short")
		return ""
	}
	return string(r.take(int(n)))
}

// name reads what may be part of a key.
func (r *itemReader) name() string {
	s := r.string()
	r.check(validName(s), "it holds a name that is not valid")
	return s
}

// validName reports whether s may be part of a key. That it is a good name is
// for others to check.
func validName(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func (r *itemReader) ref() hawser.VersionRef {
	return hawser.VersionRef{Agent: hawser.AgentID{Namespace: r.name(), Name: r.name()}, Number: r.uvarint()}
}

// count reads the length of a list whose members take at least size bytes each.
func (r *itemReader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail("it is cut short")
		return 0
	}
	return int(n)
}

func (r *itemReader) refs() []hawser.VersionRef {
	n := r.count(3)
	if n == 0 {
		return nil
	}
	refs := make([]hawser.VersionRef, n)
	for i := range refs {
		refs[i] = r.ref()
	}
	return refs
}

// labels reads pairs in ascending order of keys.
func (r *itemReader) labels() map[string]string {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	labels, last := map[string]string{}, ""
	for i := range n {
		key := r.string()
		r.check(i == 0 || key > last, "its labels are not in order")
		labels[key], last = r.string(), key
	}
	return labels
}

func flags(bits ...bool) (b byte) {
	for i, set := range bits {
		if set {
			b |= 1 << i
		}
	}
	return b
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendUvarints(dst []byte, values ...uint64) []byte {
	for _, v := range values {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func appendRef(dst []byte, ref hawser.VersionRef) []byte {
	dst = appendString(appendString(dst, ref.Agent.Namespace), ref.Agent.Name)
	return binary.AppendUvarint(dst, ref.Number)
}
