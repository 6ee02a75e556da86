// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"
)

// No input makes the mark's decoder panic, and what it takes is what was encoded.
func FuzzDecodeMark(f *testing.F) {
	f.Add(encodeMark(position{}))
	f.Add(encodeMark(position{12, 34}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeMark(b); err == nil && !bytes.Equal(encodeMark(p), b) {
			t.Errorf("%x decodes to %+v", b, p)
		}
	})
}

// No input makes the decoder of the list of segments panic.
func FuzzDecodeWalMeta(f *testing.F) {
	b, err := encodeWalMeta(types.PersistentState{NextSegmentID: 3, Segments: []types.SegmentInfo{{ID: 2, BaseIndex: 5}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeWalMeta(b); err == nil {
			if len(b) < 10 {
				t.Errorf("%q was taken", b)
			}
		}
	})
}

// No input makes the decoder of an intent panic.
func FuzzDecodeIntent(f *testing.F) {
	f.Add(appendCRC([]byte("5 3")))
	f.Add(appendCRC([]byte("5")))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decodeIntent(b) })
}

// No input makes the check of a bbolt file's meta page panic.
func FuzzDecodeBoltMeta(f *testing.F) {
	f.Add(make([]byte, boltHeaderSize+boltMetaSize), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, id uint64) {
		if m, err := decodeBoltMeta(b, id); err == nil && m.pageSize < 512 {
			t.Errorf("%+v", m)
		}
	})
}

// No input makes the walk over a bbolt file's pages panic.
func FuzzBoltBelow(f *testing.F) {
	leaf := make([]byte, 2*boltHeaderSize)
	leaf[8], leaf[10] = boltLeafFlag, 1
	f.Add(leaf)
	f.Fuzz(func(t *testing.T, b []byte) {
		if below, err := boltBelow(b); err == nil && len(below) > len(b)/boltElementSize {
			t.Errorf("%d pages from %d bytes", len(below), len(b))
		}
	})
}

// A configuration that raft cannot decode is an error, not a panic.
func FuzzDecodeConfiguration(f *testing.F) {
	f.Add(raft.EncodeConfiguration(abc))
	f.Add([]byte{0xff})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decodeConfiguration(b) })
}
