// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is the state of one moment. It costs nothing to take and keeps
// what it shows on disk until it is closed.
type Snapshot struct {
	d *DB
	s *pebble.Snapshot
}

// Snapshot returns the newest state.
func (d *DB) Snapshot() (*Snapshot, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return &Snapshot{d: d, s: d.db.NewSnapshot()}, nil
}

// Get returns a copy of the value of key, and whether there is one.
func (s *Snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.d.check(); err != nil {
		return nil, false, err
	}
	return s.d.get(s.s, key)
}

// Iter iterates over the keys in [lower, upper).
func (s *Snapshot) Iter(lower, upper []byte) (*Iterator, error) { return s.d.iter(s.s, lower, upper) }

// Close releases the snapshot; a failed engine releases nothing any more.
func (s *Snapshot) Close() error {
	if err := s.d.check(); err != nil {
		return err
	}
	return s.s.Close()
}

// Iterator walks over keys in ascending order. Use it so:
//
//	for it.Next() {
//		... it.Key(), it.Value() ...
//	}
//	err := it.Close()
type Iterator struct {
	d       *DB
	it      *pebble.Iterator
	started bool
	err     error
}

func (d *DB) iter(r pebble.Reader, lower, upper []byte) (*Iterator, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	i := &Iterator{d: d}
	err := guard(func() (err error) {
		i.it, err = r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		return err
	})
	if err != nil {
		return nil, d.read("iterate", err)
	}
	return i, nil
}

// Next moves to the next key, the first one at first. It returns false at the
// end and after an error, which Close returns.
func (i *Iterator) Next() (more bool) {
	if i.err != nil {
		return false
	}
	i.err = guard(func() error {
		if !i.started {
			i.started = true
			more = i.it.First()
		} else {
			more = i.it.Next()
		}
		return nil
	})
	return more && i.err == nil
}

// Key returns the key, valid until the next call of Next.
func (i *Iterator) Key() []byte { return i.it.Key() }

// Value returns the value, valid until the next call of Next; nil after an
// error, which Close returns.
func (i *Iterator) Value() (value []byte) {
	err := guard(func() (err error) {
		value, err = i.it.ValueAndErr()
		return err
	})
	if err != nil {
		i.err, value = err, nil
	}
	return value
}

// Close releases the iterator and returns the first error it met.
func (i *Iterator) Close() error {
	err := guard(func() error { return errors.Join(i.it.Error(), i.it.Close()) })
	if i.err != nil {
		err = i.err
	}
	return i.d.read("iterate", err)
}
