// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// checkBolt looks at the file of a bbolt database before bbolt does, which
// would make a new database of an empty file, fall back to an older
// transaction if one bit of the newest meta page is flipped, and fault on a
// file that is too short.
//
// The two meta pages must be valid and of consecutive transactions: a meta
// page's 64 bytes lie in one sector, so a crash does not tear them. The tree
// below the newer one must be whole, see [boltTree].
func checkBolt(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return damaged(path, "%w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m0, err := readBoltMeta(f, 0, 0)
	if err != nil {
		return damaged(path, "meta page 0: %w", err)
	}
	m1, err := readBoltMeta(f, int64(m0.pageSize), 1)
	if err != nil {
		return damaged(path, "meta page 1: %w", err)
	}
	newer, older := m0, m1
	if newer.txid < older.txid {
		newer, older = older, newer
	}
	if newer.txid != older.txid+1 || newer.pageSize != older.pageSize {
		return damaged(path, "meta pages of transactions %d and %d do not belong together", older.txid, newer.txid)
	}
	if want := int64(newer.pages) * int64(newer.pageSize); info.Size() < want {
		return damaged(path, "file has %d bytes, want at least %d", info.Size(), want)
	}
	t := boltTree{file: f, meta: newer, seen: map[uint64]bool{}}
	if err := t.check(newer.root, 0); err != nil {
		return damaged(path, "%w", err)
	}
	return nil
}

// boltMeta is what is used of a meta page:
//
//	page header: id u64, flags u16, count u16, overflow u32
//	magic u32, version u32, page size u32, flags u32, root u64, sequence u64,
//	freelist u64, pages u64, transaction u64, FNV-1a of all since magic u64
type boltMeta struct {
	pageSize          uint32
	root, pages, txid uint64
}

const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltHeaderSize = 16
	boltMetaSize   = 64
	boltMetaFlag   = 0x04
)

func readBoltMeta(r io.ReaderAt, offset int64, id uint64) (boltMeta, error) {
	var b [boltHeaderSize + boltMetaSize]byte
	if _, err := r.ReadAt(b[:], offset); err != nil {
		return boltMeta{}, fmt.Errorf("file is cut short: %w", err)
	}
	return decodeBoltMeta(b[:], id)
}

func decodeBoltMeta(b []byte, id uint64) (boltMeta, error) {
	order := binary.LittleEndian
	if len(b) != boltHeaderSize+boltMetaSize {
		return boltMeta{}, errors.New("cut short")
	}
	if order.Uint64(b) != id || order.Uint16(b[8:])&boltMetaFlag == 0 {
		return boltMeta{}, errors.New("not a meta page")
	}
	b = b[boltHeaderSize:]
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion {
		return boltMeta{}, errors.New("not a bbolt file of this version")
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:boltMetaSize-8])
	if got, want := sum.Sum64(), order.Uint64(b[boltMetaSize-8:]); got != want {
		return boltMeta{}, fmt.Errorf("checksum is %016x, want %016x", got, want)
	}
	m := boltMeta{
		pageSize: order.Uint32(b[8:]), root: order.Uint64(b[16:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}
	if m.pageSize < 512 || m.pageSize > 1<<16 || m.pages > 1<<40 {
		return boltMeta{}, fmt.Errorf("page size %d or number of pages %d is impossible", m.pageSize, m.pages)
	}
	return m, nil
}
