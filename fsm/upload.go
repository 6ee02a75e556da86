// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Rules of uploads. They are frozen at the feature level that set them.
const (
	partSize = record.PartSize
	maxParts = record.MaxParts
	// maxStaged bounds the parts that belong to no content yet, in bytes.
	maxStaged = 1 << 30
	// maxExpire is the most uploads of one [ExpireUploads].
	maxExpire = 1024
)

// uploadRecord is what the machine keeps of an upload that belongs to no
// content yet. When a content takes it over the record goes and the parts
// stay; parts without a record belong to a content.
type uploadRecord struct {
	// parts counts the parts, bytes their bytes; end is one more than the
	// highest index, short one more than the index of the part that has less
	// than partSize bytes, 0 for none.
	parts, end, short uint32
	bytes             uint64
	// touched is the machine's time at the last part.
	touched int64
}

func (u *uploadRecord) append(dst []byte) []byte {
	dst = append(dst, storedFormat)
	for _, v := range [...]uint64{uint64(u.parts), uint64(u.end), uint64(u.short), u.bytes, uint64(u.touched)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func parseUpload(b []byte) (uploadRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return uploadRecord{}, errMalformed
	}
	u := uploadRecord{parts: r.uint32(), end: r.uint32(), short: r.uint32(), bytes: r.uvarint(), touched: int64(r.uvarint())}
	return u, r.end()
}

// upload is an upload while a batch is applied.
type upload struct {
	uploadRecord
	id [16]byte
	// open says that it has a record, stored that the engine or the batch has one.
	open, stored, changed bool
	// put holds the checksums of the parts that the batch put; dropped says
	// that what the engine has of others is gone.
	put     map[uint32]uint32
	dropped bool
}

// upload returns an upload as the batch has left it so far.
func (c *changes) upload(id [16]byte) (*upload, error) {
	if u, ok := c.uploads[id]; ok {
		return u, nil
	}
	c.key = uploadKey(c.key[:0], id)
	value, ok, err := c.src.Get(c.key)
	if err != nil {
		return nil, err
	}
	u := &upload{id: id, open: ok, stored: ok}
	if ok {
		if u.uploadRecord, err = parseUpload(value); err != nil {
			return nil, damaged(fmt.Sprintf("upload %x", id), err)
		}
	}
	c.addUpload(u)
	return u, nil
}

func (c *changes) addUpload(u *upload) {
	if c.uploads == nil {
		c.uploads = make(map[[16]byte]*upload)
	}
	c.uploads[u.id] = u
	c.uploadOrder = append(c.uploadOrder, u)
}

// part returns the checksum of a part, and whether it is there.
func (c *changes) part(u *upload, index uint32) (crc uint32, ok bool, err error) {
	if crc, ok := u.put[index]; ok || u.dropped {
		return crc, ok, nil
	}
	c.key = partKey(c.key[:0], u.id, index)
	value, ok, err := c.src.Get(c.key)
	if err != nil || !ok {
		return 0, false, err
	}
	crc, _, err = parsePart(value)
	if err != nil {
		return 0, false, damaged(fmt.Sprintf("part %d of upload %x", index, u.id), err)
	}
	return crc, true, nil
}

// parsePart reads a stored part: format, CRC-32C (4 bytes), bytes.
func parsePart(b []byte) (crc uint32, data []byte, err error) {
	if len(b) < 1+4 || b[0] != storedFormat {
		return 0, nil, errMalformed
	}
	return binary.BigEndian.Uint32(b[1:]), b[5:], nil
}

// apply stages one part. It is not visible to users, so there is no revision.
func (p *Part) apply(c *changes) (Result, error) {
	if err := p.check(); err != nil {
		return c.refuse(err)
	}
	u, err := c.upload(p.Upload)
	if err != nil {
		return Result{}, err
	}
	crc, there, err := c.part(u, p.Index)
	if err != nil {
		return Result{}, err
	}
	taken := false
	if !there && !u.open {
		if _, taken, err = c.part(u, 0); err != nil {
			return Result{}, err
		}
	}
	short := len(p.Data) < partSize
	switch {
	case there && crc != p.CRC32C:
		return c.refuse(uploadError(hawser.CodeRequestMismatch, p.Upload, fmt.Sprintf("part %d is there with other content", p.Index)))
	case there:
		u.touch(c.state.time)
		return c.result(), nil
	case taken:
		return c.refuse(uploadError(hawser.CodeRequestMismatch, p.Upload, "it is complete and belongs to a version"))
	case short && u.open && u.short != 0:
		return c.refuse(uploadError(hawser.CodeInvalid, p.Upload, "two parts are shorter than the others"))
	case c.state.staged+uint64(len(p.Data)) > maxStaged:
		return c.refuse(uploadError(hawser.CodeOverloaded, p.Upload, "too much is being uploaded; repeat after a while"))
	}
	c.putPart(u, p)
	return c.result(), nil
}

func (p *Part) check() error {
	switch {
	case p.Upload == [16]byte{}:
		return invalidCommand("upload", "it has no id")
	case p.Index >= maxParts:
		return invalidCommand("upload", fmt.Sprintf("part %d is beyond the last possible one, %d", p.Index, maxParts-1))
	case len(p.Data) == 0 || len(p.Data) > partSize:
		return invalidCommand("upload", fmt.Sprintf("a part of %d bytes, 1 to %d are possible", len(p.Data), partSize))
	}
	return nil
}

func (c *changes) putPart(u *upload, p *Part) {
	if !u.open {
		u.open, u.uploadRecord = true, uploadRecord{}
	}
	u.parts++
	u.end = max(u.end, p.Index+1)
	if len(p.Data) < partSize {
		u.short = p.Index + 1
	}
	u.bytes += uint64(len(p.Data))
	u.touch(c.state.time)
	if u.put == nil {
		u.put = make(map[uint32]uint32)
	}
	u.put[p.Index] = p.CRC32C
	c.state.staged += uint64(len(p.Data))
	c.key = partKey(c.key[:0], u.id, p.Index)
	c.value = binary.BigEndian.AppendUint32(append(c.value[:0], storedFormat), p.CRC32C)
	c.batch.Set(c.key, c.value, p.Data)
}

func (u *upload) touch(now int64) {
	if u.open {
		u.touched, u.changed = now, true
	}
}

// stored is a content that can be stored: its bytes are in it, or all there in
// the upload.
type stored struct {
	record.Content
	upload *upload
	bytes  uint64
}

func (s stored) entry() segmentEntry {
	e := segmentEntry{refs: 1, bytes: s.bytes}
	if s.upload != nil {
		e.upload = &s.upload.id
	}
	return e
}

// staged finds the bytes of a content. It changes nothing.
func (c *changes) staged(content record.Content) (s stored, refusal, err error) {
	s = stored{Content: content, bytes: uint64(len(content.Data))}
	if content.Parts == 0 {
		return s, nil, nil
	}
	parts, id := content.Parts, content.Upload
	u, err := c.upload(id)
	switch {
	case err != nil:
		return s, nil, err
	case !u.open || u.parts != parts || u.end != parts || u.short != 0 && u.short != parts:
		return s, uploadError(hawser.CodeInvalid, id, fmt.Sprintf("the upload is incomplete: %d parts of %d", u.parts, parts)), nil
	case content.Encoding == record.Raw && content.Size != u.bytes:
		return s, uploadError(hawser.CodeInvalid, id, fmt.Sprintf("the upload has %d bytes of %d", u.bytes, content.Size)), nil
	}
	s.upload, s.bytes = u, u.bytes
	return s, nil, nil
}

// takeUpload makes the parts of u belong to a content.
func (c *changes) takeUpload(u *upload) {
	c.state.staged -= u.bytes
	u.open, u.changed, u.uploadRecord = false, true, uploadRecord{}
}

// dropParts removes the parts of an upload that nobody needs.
func (c *changes) dropParts(id [16]byte) {
	c.key = partKey(c.key[:0], id, 0)
	c.value = partKey(c.value[:0], id, maxParts)
	c.batch.DeleteRange(c.key, c.value)
	u, ok := c.uploads[id]
	if !ok {
		u = &upload{id: id}
		c.addUpload(u)
	}
	u.put, u.dropped = nil, true
}

// apply drops uploads that were given up.
func (e *ExpireUploads) apply(c *changes) (Result, error) {
	if len(e.Uploads) > maxExpire {
		return c.refuse(invalidCommand("expire uploads", fmt.Sprintf("%d uploads, %d are possible", len(e.Uploads), maxExpire)))
	}
	for _, id := range e.Uploads {
		u, err := c.upload(id)
		if err != nil {
			return Result{}, err
		}
		if u.open && u.touched < e.Before {
			c.takeUpload(u)
			c.dropParts(id)
		}
	}
	return c.result(), nil
}

// finishUploads writes the uploads that changed.
func (c *changes) finishUploads() {
	for _, u := range c.uploadOrder {
		if !u.changed {
			continue
		}
		c.key = uploadKey(c.key[:0], u.id)
		if u.open {
			c.value = u.append(c.value[:0])
			c.batch.Set(c.key, c.value)
		} else if u.stored {
			c.batch.Delete(c.key)
		}
		u.stored, u.changed = u.open, false
	}
}

func uploadError(code hawser.Code, id [16]byte, msg string) error {
	return &hawser.Error{Code: code, Op: "upload", Key: fmt.Sprintf("%x", id), Msg: msg}
}

// Part returns one part of a content that is stored in parts, or of an upload
// that belongs to no content yet. A part that is not there is
// hawser.ErrNotFound, one that does not match its checksum hawser.ErrCorrupt.
func (v *View) Part(upload [16]byte, index uint32) ([]byte, error) {
	value, ok, err := v.snap.Get(partKey(nil, upload, index))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, uploadError(hawser.CodeNotFound, upload, fmt.Sprintf("part %d is not there", index))
	}
	crc, data, err := parsePart(value)
	if err != nil || record.Checksum(data) != crc {
		return nil, uploadError(hawser.CodeCorrupt, upload, fmt.Sprintf("part %d does not match its checksum", index))
	}
	return data, nil
}

// Upload describes an upload that belongs to no content yet.
type Upload struct {
	ID    [16]byte
	Parts uint32
	Bytes int64
	// TouchedAt is the cluster's clock at its last part.
	TouchedAt time.Time
}

// Uploads lists uploads that belong to no content yet, at most limit (0 for
// hawser.DefaultPage, never more than hawser.MaxPage). The leader proposes
// [ExpireUploads] for those that were given up.
func (v *View) Uploads(limit int) ([]Upload, error) {
	it, err := v.snap.Iter([]byte{prefixUpload}, []byte{prefixUpload + 1})
	if err != nil {
		return nil, err
	}
	limit = page(limit)
	var uploads []Upload
	for err == nil && len(uploads) < limit && it.Next() {
		var rec uploadRecord
		if rec, err = parseUpload(it.Value()); err != nil || len(it.Key()) != len(uploadKey(nil, [16]byte{})) {
			err = damaged("upload", errMalformed)
			break
		}
		uploads = append(uploads, Upload{
			ID: [16]byte(it.Key()[1:]), Parts: rec.parts, Bytes: int64(rec.bytes), TouchedAt: unix(rec.touched),
		})
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return uploads, nil
}
