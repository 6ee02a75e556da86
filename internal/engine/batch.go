// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/cockroachdb/pebble/v2"

// Batch is a set of writes that take effect together, in the order in which
// they were added. Keys and values are copied.
type Batch struct {
	d *DB
	b *pebble.Batch
	// err is the first error of a write, returned by Commit.
	err     error
	deletes uint64
}

// NewBatch returns an empty batch. It must be committed or closed.
func (d *DB) NewBatch() *Batch { return &Batch{d: d, b: d.db.NewBatch()} }

// Set sets key to the parts of value, one after the other.
func (b *Batch) Set(key []byte, value ...[]byte) {
	n := 0
	for _, part := range value {
		n += len(part)
	}
	op := b.b.SetDeferred(len(key), n)
	copy(op.Key, key)
	at := 0
	for _, part := range value {
		at += copy(op.Value[at:], part)
	}
	b.note(op.Finish())
}

// Delete removes key, if it is there.
func (b *Batch) Delete(key []byte) {
	b.deletes++
	b.note(b.b.Delete(key, nil))
}

// DeleteRange removes the keys in [from, to).
func (b *Batch) DeleteRange(from, to []byte) {
	b.deletes++
	b.note(b.b.DeleteRange(from, to, nil))
}

// Len is the number of bytes in the batch.
func (b *Batch) Len() int { return b.b.Len() }

// Empty reports whether there is nothing in the batch.
func (b *Batch) Empty() bool { return b.b.Empty() }

// Commit makes the writes visible, all at once. They are durable after the
// next flush. An error is a *halt.Error, and whether the writes are visible
// is then unknown. The batch must not be used any more.
func (b *Batch) Commit() error {
	err := b.d.do("commit", func() error {
		if b.err != nil {
			return b.err
		}
		return b.b.Commit(pebble.NoSync)
	})
	if err != nil {
		return err // the batch may still be in use
	}
	b.d.deletes.Add(b.deletes)
	return b.d.read("commit", b.b.Close())
}

// Close drops an uncommitted batch.
func (b *Batch) Close() error { return b.b.Close() }

func (b *Batch) note(err error) {
	if err != nil && b.err == nil {
		b.err = err
	}
}
