// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// boltTree walks the pages that a bbolt file reaches from its root. bbolt does
// the same when it opens the file, to learn which pages are free, but in a
// goroutine of its own that panics at the first page that cannot be: nothing
// can turn that into an error.
//
//	page header: id u64, flags u16, count u16, overflow u32
//	branch element: position u32, key size u32, page u64
//	leaf element: flags u32, position u32, key size u32, value size u32
//	bucket, the value of a leaf element with that flag: root u64, sequence u64;
//	root 0 is a bucket whose only page follows in the value
//
// Positions count from the start of their element.
type boltTree struct {
	file io.ReaderAt
	meta boltMeta
	seen map[uint64]bool
}

const (
	boltBranchFlag = 0x01
	boltLeafFlag   = 0x02
	boltBucketFlag = 0x01

	boltElementSize = 16
	boltBucketSize  = 16
	// boltMaxDepth is far beyond any tree and any nesting of buckets.
	boltMaxDepth = 64
)

// check walks from the page with this id. No page may be reached twice.
func (t *boltTree) check(id uint64, depth int) error {
	if depth > boltMaxDepth {
		return fmt.Errorf("page %d: deeper than %d levels", id, boltMaxDepth)
	}
	b, err := t.page(id)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	below, err := boltBelow(b)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	for _, next := range below {
		if err := t.check(next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// page reads the page with this id, and those that it overflows into.
func (t *boltTree) page(id uint64) ([]byte, error) {
	if id < 2 || id >= t.meta.pages {
		return nil, fmt.Errorf("is not one of pages 2 to %d", t.meta.pages-1)
	}
	size := int64(t.meta.pageSize)
	var head [boltHeaderSize]byte
	if _, err := t.file.ReadAt(head[:], int64(id)*size); err != nil {
		return nil, err
	}
	order := binary.LittleEndian
	overflow := uint64(order.Uint32(head[12:]))
	if order.Uint64(head[:]) != id || overflow >= t.meta.pages-id {
		return nil, errors.New("its header is not that of a page")
	}
	for i := range overflow + 1 {
		if t.seen[id+i] {
			return nil, errors.New("is reached twice")
		}
		t.seen[id+i] = true
	}
	b := make([]byte, int64(overflow+1)*size)
	_, err := t.file.ReadAt(b, int64(id)*size)
	return b, err
}

// boltBelow returns the pages that a page refers to.
func boltBelow(b []byte) ([]uint64, error) {
	if len(b) < boltHeaderSize {
		return nil, errors.New("cut short")
	}
	order := binary.LittleEndian
	flags, count := order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	if flags != boltBranchFlag && flags != boltLeafFlag {
		return nil, fmt.Errorf("has the impossible type %#x", flags)
	}
	if count*boltElementSize > len(b)-boltHeaderSize || flags == boltBranchFlag && count == 0 {
		return nil, fmt.Errorf("has an impossible number of elements, %d", count)
	}
	var below []uint64
	for i := range count {
		at := boltHeaderSize + i*boltElementSize
		if flags == boltBranchFlag {
			if _, err := boltBytes(b, at, order.Uint32(b[at:]), 0, order.Uint32(b[at+4:])); err != nil {
				return nil, err
			}
			below = append(below, order.Uint64(b[at+8:]))
			continue
		}
		value, err := boltBytes(b, at, order.Uint32(b[at+4:]), order.Uint32(b[at+8:]), order.Uint32(b[at+12:]))
		if err != nil {
			return nil, err
		}
		if order.Uint32(b[at:])&boltBucketFlag == 0 {
			continue
		}
		roots, err := boltBucketRoots(value)
		if err != nil {
			return nil, err
		}
		below = append(below, roots...)
	}
	return below, nil
}

// boltBucketRoots returns the pages that a bucket refers to.
func boltBucketRoots(value []byte) ([]uint64, error) {
	if len(value) < boltBucketSize {
		return nil, errors.New("has a bucket that is cut short")
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return []uint64{root}, nil
	}
	return boltBelow(value[boltBucketSize:])
}

// boltBytes returns the size bytes that lie skip bytes behind position, which
// counts from at.
func boltBytes(b []byte, at int, position, skip, size uint32) ([]byte, error) {
	from := uint64(at) + uint64(position) + uint64(skip)
	if from+uint64(size) > uint64(len(b)) {
		return nil, errors.New("has an element that lies outside")
	}
	return b[from : from+uint64(size)], nil
}
