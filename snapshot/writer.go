// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"github.com/hawserdb/hawser"
)

// Writer writes an archive. It takes items in the order of [Item] and refuses
// others. It is not safe for concurrent use. After an error it only repeats it.
type Writer struct {
	w      io.Writer
	offset int64
	sum    hash.Hash
	err    error
	closed bool

	kind    frameKind // of the items in payload
	payload []byte    // of the next frame
	scratch []byte    // the next frame
	item    []byte

	order   order
	section *section // of the agent being written, nil before the first
	shared  *shared
	indexed int   // by readers, of the section: see maxContents
	entry   Entry // of the agent being written
	table   tableWriter
	trailer trailer
	summary Summary
}

// NewWriter writes the header of an archive to w, which should be buffered by
// nobody: it gets frames of up to 1 MiB. Errors are those of w, or match
// hawser.ErrInvalid.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	x := &Writer{w: w, sum: sha256.New(), kind: frameCluster, shared: newShared()}
	b := encodeHeader(h)
	if _, err := parseHeader(b); err != nil || len(b) > maxHeader {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "archive", Msg: "its header cannot be written", Err: err}
	}
	if err := x.write(b); err != nil {
		return nil, err
	}
	return x, nil
}

// Append adds an item; it does not keep it. Errors match hawser.ErrCorrupt for
// items that are malformed or out of order, or are those of the writer below.
func (w *Writer) Append(item Item) error {
	w.item = AppendItem(w.item[:0], item)
	return w.AppendEncoded(w.item)
}

// AppendEncoded is Append for an item that is encoded.
func (w *Writer) AppendEncoded(encoded []byte) error {
	if w.closed && w.err == nil {
		w.err = errors.New("archive: it is closed")
	}
	if w.err == nil {
		w.err = w.append(encoded)
	}
	return w.err
}

func (w *Writer) append(encoded []byte) error {
	item, err := ParseItem(encoded)
	if err != nil {
		return err
	}
	if err := w.order.take(item); err != nil {
		return err
	}
	if agent, ok := item.(*Agent); ok {
		if err := w.beginAgent(agent); err != nil {
			return err
		}
	}
	if err := w.note(item); err != nil {
		return err
	}
	if len(w.payload)+binary.MaxVarintLen64+len(encoded) > maxFrame {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.payload = binary.AppendUvarint(w.payload, uint64(len(encoded)))
	w.payload = append(w.payload, encoded...)
	return nil
}

// note counts the item and checks that it fits to those before.
func (w *Writer) note(item Item) error {
	switch item.(type) {
	case *Policy:
		w.summary.Policies++
		return nil
	case *Floor:
		w.summary.Floors++
		return nil
	}
	if w.section == nil {
		return corruptItem("a %s before the first agent", item.itemType())
	}
	if err := w.section.take(item); err != nil {
		return err
	}
	switch item := item.(type) {
	case *Segment:
		w.shared.segment(item)
		w.summary.Segments++
		return w.index(segmentWeight)
	case *Content:
		// Where the bytes lie, the next item will be: keep nothing of them.
		w.section.content.Data = nil
		w.shared.content(item)
		w.summary.Contents++
		return w.index(1)
	case *Version:
		w.shared.refer(item.Segment, item.Position)
		w.entry.version(item)
		if item.State == hawser.VersionBad {
			w.summary.BadVersions++
		}
	}
	return nil
}

// index counts what readers index of a section. What they would refuse is not
// written.
func (w *Writer) index(n int) error {
	if w.indexed += n; w.indexed > maxContents {
		return corruptItem("%s has "+tooManyInIndex+" which no reader takes", w.entry.ID, maxContents, segmentWeight)
	}
	return nil
}

// version counts a version in; the last one is the head.
func (e *Entry) version(v *Version) {
	e.Versions++
	e.ContentBytes += v.Size
	if e.Versions == 1 {
		e.Oldest = v.CreatedAt
	}
	e.Newest = v.CreatedAt
	copy(e.Fingerprint[:], v.SHA256[:])
}

func (w *Writer) beginAgent(agent *Agent) error {
	if err := w.endSection(); err != nil {
		return err
	}
	w.kind, w.section, w.indexed = frameAgent, &section{}, 0
	w.entry = Entry{ID: agent.ID, Head: agent.Head, Live: agent.Live, offset: w.offset}
	return nil
}

// endSection ends the items of the cluster or of an agent.
func (w *Writer) endSection() error {
	if w.section != nil {
		if err := w.section.end(); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.section == nil {
		w.trailer.agents = w.offset
		return nil
	}
	e := &w.entry
	e.length = w.offset - e.offset
	needs, err := w.shared.end(span{e.offset, e.length})
	if err != nil {
		return err
	}
	e.needs = needs
	w.summary.add(e)
	w.table.add(*e)
	w.section = nil
	return nil
}

// flush writes the gathered items as a frame.
func (w *Writer) flush() error {
	if len(w.payload) == 0 {
		return nil
	}
	err := w.writeFrame(w.kind, w.payload)
	w.payload = w.payload[:0]
	return err
}

func (w *Writer) writeFrame(kind frameKind, payload []byte) error {
	w.scratch = appendFrame(w.scratch[:0], kind, w.offset, payload)
	return w.write(w.scratch)
}

func (w *Writer) write(b []byte) error {
	if _, err := w.w.Write(b); err != nil {
		w.err = err
		return err
	}
	w.sum.Write(b)
	w.offset += int64(len(b))
	return nil
}

// Close writes the table, the summary and the trailer. Without it the file is
// no archive. It does not close the writer below; a second call does nothing.
func (w *Writer) Close() error {
	if w.err == nil && !w.closed {
		w.err = w.finish()
	}
	w.closed = true
	return w.err
}

func (w *Writer) finish() error {
	if err := w.endSection(); err != nil {
		return err
	}
	w.trailer.table = w.offset
	index, err := w.table.end()
	if err != nil {
		return err
	}
	for i := range w.table.packed {
		placeFrame(w.table.packed[i], w.offset)
		if err := w.write(w.table.packed[i]); err != nil {
			return err
		}
	}
	w.trailer.index = w.offset
	for _, payload := range index {
		if err := w.writeFrame(frameIndex, payload); err != nil {
			return err
		}
	}
	w.trailer.summary = w.offset
	if err := w.writeFrame(frameSummary, encodeSummary(w.summary)); err != nil {
		return err
	}
	w.trailer.size = w.offset + int64(trailerSize)
	w.sum.Sum(w.trailer.sha[:0])
	return w.write(appendTrailer(nil, w.trailer))
}

// Summary returns what was counted; it is complete after Close.
func (w *Writer) Summary() Summary { return w.summary }

// SHA256 returns the hash that names the archive, after Close.
func (w *Writer) SHA256() hawser.Hash { return w.trailer.sha }

// Size returns the bytes written so far.
func (w *Writer) Size() int64 { return w.offset }
