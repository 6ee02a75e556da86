// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/hawserdb/hawser/internal/durable"
)

// mark says where the log ended at least. Both kinds of log cut what looks
// like a torn write off the end when they are opened, and a torn write looks
// exactly like a flipped bit in the newest entries. The mark tells them apart:
// it is written, in place and without an fsync, after the log's fsync, so it
// never names an entry that is not durable, and after a kill it names the
// last one. Before entries are removed from the end it is lowered durably.
//
//	+-----------------+-----------------+-------------------+-----------------+
//	| "hawsrmk1"      | index (u64, LE) | checksum (u32)    | CRC32C (u32)    |
//	+-----------------+-----------------+-------------------+-----------------+
//
// checksum is that of the entry; the CRC is over all before it. An index of 0
// means nothing is known. The 24 bytes lie in one sector.
type mark struct {
	f    *os.File
	path string
}

const (
	markMagic = "hawsrmk1"
	markSize  = 24
)

// position is an entry and its checksum.
type position struct {
	index uint64
	sum   uint32
}

func encodeMark(p position) []byte {
	b := append(make([]byte, 0, markSize), markMagic...)
	b = binary.LittleEndian.AppendUint64(b, p.index)
	b = binary.LittleEndian.AppendUint32(b, p.sum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeMark(b []byte) (position, error) {
	if len(b) != markSize {
		return position{}, fmt.Errorf("size is %d bytes, want %d", len(b), markSize)
	}
	if string(b[:8]) != markMagic {
		return position{}, errors.New("not a mark file")
	}
	if got, want := crc32.Checksum(b[:20], castagnoli), binary.LittleEndian.Uint32(b[20:]); got != want {
		return position{}, fmt.Errorf("checksum is %08x, want %08x", got, want)
	}
	return position{index: binary.LittleEndian.Uint64(b[8:]), sum: binary.LittleEndian.Uint32(b[16:])}, nil
}

// createMark writes a mark that knows nothing.
func createMark(path string) error { return durable.WriteFile(path, encodeMark(position{})) }

// openMark opens an existing mark.
func openMark(path string) (*mark, position, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, position{}, damaged(path, "read the end mark of the log: %w", err)
	}
	p, err := decodeMark(b)
	if err != nil {
		return nil, position{}, damaged(path, "read the end mark of the log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		return nil, position{}, err
	}
	return &mark{f: f, path: path}, p, nil
}

// raise names p as the last entry. p is durable already.
func (m *mark) raise(p position) error {
	_, err := m.f.WriteAt(encodeMark(p), 0)
	return err
}

// lower names p as the last entry, durably.
func (m *mark) lower(p position) error {
	if err := m.raise(p); err != nil {
		return err
	}
	return m.f.Sync()
}

// Close closes the file.
func (m *mark) Close() error { return m.f.Close() }
