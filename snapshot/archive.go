// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"io"
	"iter"
	"sort"
	"strings"

	"github.com/hawserdb/hawser"
)

// Archive is an archive that is open for reading. It is safe for concurrent
// use if its reader is.
type Archive struct {
	r       io.ReaderAt
	header  Header
	begin   int64 // of the first frame
	trailer trailer
	summary Summary
	blocks  []block
}

// Open reads what is at both ends of an archive of size bytes: header, trailer,
// summary, and the index of the table. Errors match hawser.ErrCorrupt,
// hawser.ErrUnimplemented for a newer format, or are those of r.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	a := &Archive{r: r}
	if size > maxOffset {
		return nil, corruptAt(0, "the file has %d bytes, the most is %d", size, int64(maxOffset))
	}
	var err error
	if a.header, a.begin, err = readHeader(r, size); err != nil {
		return nil, err
	}
	if a.trailer, err = readTrailer(r, a.begin, size); err != nil {
		return nil, err
	}
	end := size - int64(trailerSize)
	payload, next, err := readFrame(r, frameSummary, a.trailer.summary, end)
	if err != nil {
		return nil, err
	}
	if next != end {
		return nil, corruptAt(next, "bytes between the summary and the trailer")
	}
	if a.summary, err = parseSummary(payload, a.trailer.summary); err != nil {
		return nil, err
	}
	if a.blocks, err = readIndex(r, a.trailer); err != nil {
		return nil, err
	}
	return a, nil
}

// Header says where the archive comes from.
func (a *Archive) Header() Header { return a.header }

// Summary returns the totals that the archive states.
func (a *Archive) Summary() Summary { return a.summary }

// SHA256 names the archive: it is the hash of all of it but its trailer, as the
// trailer states it. [Archive.Verify] compares it with the bytes.
func (a *Archive) SHA256() hawser.Hash { return a.trailer.sha }

// Size returns the length of the file.
func (a *Archive) Size() int64 { return a.trailer.size }

// Agents returns the entries of the agents of a namespace, in ascending order.
// Prefix holds whole segments: "crew" finds crew and crew/a, not crewman;
// "crew/" finds crew/a only; empty finds all. An empty namespace is all of them
// and takes no prefix. Only the blocks of the table concerned are read. Deleted
// agents are among them. The sequence ends with its first error.
func (a *Archive) Agents(namespace, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, r := range ranges(namespace, prefix) {
			if !a.between(r, yield) {
				return
			}
		}
	}
}

// keyRange is all keys from from on, below below; "" is no bound.
type keyRange struct{ from, below string }

func ranges(namespace, prefix string) []keyRange {
	if namespace == "" {
		return []keyRange{{}}
	}
	if prefix == "" {
		return []keyRange{{namespace + "\x00", namespace + "\x01"}}
	}
	root := namespace + "\x00" + strings.TrimSuffix(prefix, "/")
	found := []keyRange{{root + "/", root + "0"}} // '0' follows '/'
	if !strings.HasSuffix(prefix, "/") {
		found = append([]keyRange{{root, root + "\x00"}}, found...)
	}
	return found
}

// between yields the entries of a range and reports whether to go on.
func (a *Archive) between(r keyRange, yield func(Entry, error) bool) bool {
	i := max(a.blockAfter(r.from)-1, 0)
	for ; i < len(a.blocks) && (r.below == "" || a.blocks[i].first < r.below); i++ {
		entries, err := a.block(i)
		if err != nil {
			yield(Entry{}, err)
			return false
		}
		for _, e := range entries {
			k := key(e.ID)
			if k < r.from || r.below != "" && k >= r.below {
				continue
			}
			if !yield(e, nil) {
				return false
			}
		}
	}
	return true
}

// blockAfter returns the first block that begins after a key.
func (a *Archive) blockAfter(key string) int {
	return sort.Search(len(a.blocks), func(i int) bool { return a.blocks[i].first > key })
}

// block reads a block of the table.
func (a *Archive) block(i int) ([]Entry, error) {
	b, end, after := a.blocks[i], a.trailer.table, ""
	if i+1 < len(a.blocks) {
		end, after = a.blocks[i+1].sections, a.blocks[i+1].first
	}
	payload, next, err := readFrame(a.r, frameTable, b.offset, b.offset+b.length)
	if err != nil {
		return nil, err
	}
	if next != b.offset+b.length {
		return nil, corruptAt(b.offset, "a block of the table is not as long as the index says")
	}
	return parseTable(payload, b, end, a.trailer.agents, after)
}

// Agent returns the entry of one agent, deleted or not. An agent that is not
// in the archive is hawser.ErrNotFound.
func (a *Archive) Agent(id hawser.AgentID) (Entry, error) {
	k := key(id)
	for e, err := range a.Agents(id.Namespace, id.Name) {
		if err != nil {
			return Entry{}, err
		}
		if key(e.ID) == k {
			return e, nil
		}
		break // the first one is it, or it is not there
	}
	return Entry{}, &hawser.Error{Code: hawser.CodeNotFound, Op: "agent", Key: id.String(), Msg: "it is not in this archive"}
}
