// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// Every log entry carries, in raft's Extensions field, which is stored and
// replicated with it:
//
//	+---------+-------------------+
//	| 1 (u8)  | CRC32C (u32, LE)  |
//	+---------+-------------------+
//
// over index, term (u64, LE), type (u8) and data.
const (
	extensionSize    = 5
	extensionVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errNoChecksum = errors.New("entry has no checksum")

func entryChecksum(l *raft.Log) uint32 {
	var head [17]byte
	binary.LittleEndian.PutUint64(head[0:], l.Index)
	binary.LittleEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
}

func appendExtension(dst []byte, sum uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, extensionVersion), sum)
}

// storedChecksum returns the checksum that l carries.
func storedChecksum(l *raft.Log) (uint32, error) {
	if len(l.Extensions) != extensionSize || l.Extensions[0] != extensionVersion {
		return 0, errNoChecksum
	}
	return binary.LittleEndian.Uint32(l.Extensions[1:]), nil
}

// verifyEntry checks l against the checksum that it carries.
func verifyEntry(l *raft.Log) error {
	want, err := storedChecksum(l)
	if err != nil {
		return fmt.Errorf("entry %d: %w", l.Index, err)
	}
	if got := entryChecksum(l); got != want {
		return fmt.Errorf("entry %d: checksum is %08x, want %08x", l.Index, got, want)
	}
	return nil
}
