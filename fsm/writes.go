// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/hawserdb/hawser/internal/engine"
)

// writes is the engine batch of one delivery, and a sum of what each entry in
// it writes, from which the replica digest is made.
type writes struct {
	*engine.Batch
	// sum is of the writes since the last call of chain. It does not depend on
	// their order, which depends on what else was in the delivery.
	sum  uint64
	hash xxhash.Digest
}

// Kinds of writes, and of what else goes into a digest.
const (
	writeSet = iota + 1
	writeDelete
	writeDeleteRange
)

// Set is [engine.Batch.Set].
func (w *writes) Set(key []byte, value ...[]byte) {
	w.note(writeSet, key, value...)
	w.Batch.Set(key, value...)
}

// Delete is [engine.Batch.Delete].
func (w *writes) Delete(key []byte) {
	w.note(writeDelete, key)
	w.Batch.Delete(key)
}

// DeleteRange is [engine.Batch.DeleteRange].
func (w *writes) DeleteRange(from, to []byte) {
	w.note(writeDeleteRange, from, to)
	w.Batch.DeleteRange(from, to)
}

func (w *writes) note(kind byte, key []byte, value ...[]byte) {
	w.hash.Reset()
	var head [9]byte
	head[0] = kind
	binary.BigEndian.PutUint64(head[1:], uint64(len(key)))
	_, _ = w.hash.Write(head[:]) // documented never to fail, as all below
	_, _ = w.hash.Write(key)
	for _, part := range value {
		_, _ = w.hash.Write(part)
	}
	w.sum += w.hash.Sum64()
}

// chain returns the replica digest after an entry: a hash of the one before,
// the entry, what it wrote, and the state that it left.
func (w *writes) chain(before uint64, e Entry, state []byte) uint64 {
	w.hash.Reset()
	var head [40]byte
	for i, v := range [...]uint64{before, e.Index, e.Term, w.sum, uint64(len(state))} {
		binary.BigEndian.PutUint64(head[8*i:], v)
	}
	_, _ = w.hash.Write(head[:])
	_, _ = w.hash.Write(state)
	_, _ = w.hash.Write(e.Data)
	w.sum = 0
	return w.hash.Sum64()
}
