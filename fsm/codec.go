// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/hawserdb/hawser"
)

// errMalformed is bytes that no encoder of this package makes.
var errMalformed = errors.New("malformed")

// reader reads what the append functions wrote. The first fault sticks; all
// later reads return zero values. It never allocates by a length that it
// read: what it returns aliases the input.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.bad, r.b = true, nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) fixed64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) fixed32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// uvarint takes the shortest form only, so that a value has one encoding.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.fail()
	}
	return uint32(v)
}

// int63 reads what is not negative as an int64.
func (r *reader) int63() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.fail()
	}
	return int64(v)
}

func (r *reader) bytes() []byte  { return r.take(r.uvarint()) }
func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) optional() *uint64 {
	switch r.byte() {
	case 0:
		return nil
	case 1:
		v := r.uvarint()
		return &v
	}
	r.fail()
	return nil
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

// labels reads pairs in ascending order of keys.
func (r *reader) labels() map[string]string {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	if n > uint64(len(r.b))/2 { // a label takes at least two bytes
		r.fail()
		return nil
	}
	labels, last := make(map[string]string, n), ""
	for i := range n {
		key := r.string()
		if i > 0 && key <= last {
			r.fail()
		}
		if r.bad {
			return nil
		}
		labels[key], last = r.string(), key
	}
	return labels
}

func (r *reader) agent() hawser.AgentID {
	return hawser.AgentID{Namespace: r.string(), Name: r.string()}
}

func (r *reader) ref() hawser.VersionRef {
	return hawser.VersionRef{Agent: r.agent(), Number: r.uvarint()}
}

// refs reads a list, nil when it is empty.
func (r *reader) refs() []hawser.VersionRef {
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

// count reads the length of a list whose items take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// hash reads 32 bytes.
func (r *reader) hash() (h hawser.Hash) {
	copy(h[:], r.take(uint64(len(h))))
	return h
}

// end returns an error unless everything was well formed and all was read.
func (r *reader) end() error {
	if r.bad || len(r.b) != 0 {
		return errMalformed
	}
	return nil
}

func appendBytes[T ~string | ~[]byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendOptional(dst []byte, v *uint64) []byte {
	if v == nil {
		return append(dst, 0)
	}
	return binary.AppendUvarint(append(dst, 1), *v)
}

func appendLabels(dst []byte, labels map[string]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(labels)))
	for _, key := range sortedKeys(labels) {
		dst = appendBytes(appendBytes(dst, key), labels[key])
	}
	return dst
}

func appendAgent(dst []byte, id hawser.AgentID) []byte {
	return appendBytes(appendBytes(dst, id.Namespace), id.Name)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendRef(dst []byte, ref hawser.VersionRef) []byte {
	return binary.AppendUvarint(appendAgent(dst, ref.Agent), ref.Number)
}

func appendRefs(dst []byte, refs []hawser.VersionRef) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(refs)))
	for _, ref := range refs {
		dst = appendRef(dst, ref)
	}
	return dst
}
