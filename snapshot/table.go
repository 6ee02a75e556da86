// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import "bytes"

// tableWriter gathers entries into blocks. It keeps the blocks packed until
// the end of the archive.
type tableWriter struct {
	entries []Entry // of the block that is open
	size    int     // about how many bytes they are
	packed  [][]byte
	index   [][]byte // payloads of its frames
	indexed int      // bytes of those
}

func (t *tableWriter) add(e Entry) {
	t.entries = append(t.entries, e)
	t.size += len(e.ID.Name)/2 + 40 + 12*len(e.needs)
	if t.size >= blockTarget {
		t.flush()
	}
}

func (t *tableWriter) flush() {
	if len(t.entries) == 0 {
		return
	}
	packed := bytes.Clone(packFrame(nil, frameTable, encodeTable(t.entries))) // no spare bytes: there are many
	t.packed = append(t.packed, packed)
	first, last := &t.entries[0], &t.entries[len(t.entries)-1]
	b := appendBlock(nil, block{
		first: key(first.ID), length: int64(len(packed)), agents: uint64(len(t.entries)),
	}, last.offset+last.length-first.offset)
	if n := len(t.index); n == 0 || len(t.index[n-1])+len(b) > maxFrame/4 {
		t.index = append(t.index, nil)
	}
	n := len(t.index) - 1
	t.index[n] = append(t.index[n], b...)
	t.indexed += len(b)
	t.entries, t.size = t.entries[:0], 0
}

// end returns the payloads of the index. One that no reader takes is an error.
func (t *tableWriter) end() ([][]byte, error) {
	t.flush()
	if t.indexed > maxIndex {
		return nil, corruptItem("an index of %d bytes, the most is %d: there are too many agents for one archive", t.indexed, maxIndex)
	}
	return t.index, nil
}
