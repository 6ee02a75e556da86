// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"slices"

	"github.com/hawserdb/hawser/internal/record"
)

func (c *Save) appendBody(dst []byte) []byte {
	dst = slices.Grow(dst, len(c.Content.Data)+512) // mostly enough for the rest
	dst = appendRequest(appendAgent(dst, c.Agent), c.Request)
	dst = appendOptional(dst, c.Expect)
	dst = appendBool(binary.AppendUvarint(dst, c.Fence), c.Force)
	dst = appendBytes(dst, c.Instance)
	dst = appendLabels(dst, c.Labels)
	dst = appendBytes(appendBytes(dst, c.ContentType), c.Schema)
	dst = binary.AppendUvarint(append(dst, c.SHA256[:]...), c.Size)
	if c.Base == nil {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendUvarint(append(dst, 1), c.Base.Number)
		dst = append(dst, c.Base.SHA256[:]...)
	}
	dst = appendEffectEnds(c.appendMoved(appendRefs(dst, c.DerivedFrom)), c.Effects)
	return record.AppendContent(dst, c.Content)
}

func (c *Save) parseBody(r *reader) {
	c.Agent, c.Request = r.agent(), r.request()
	c.Expect = r.optional()
	c.Fence, c.Force = r.uvarint(), r.bool()
	c.Instance = r.string()
	c.Labels = r.labels()
	c.ContentType, c.Schema = r.string(), r.string()
	c.SHA256, c.Size = r.hash(), r.uvarint()
	if r.bool() {
		c.Base = &Base{Number: r.uvarint(), SHA256: r.hash()}
	}
	c.DerivedFrom = r.refs()
	c.parseMoved(r)
	c.Effects = r.effectEnds()
	c.Content = r.content()
}

func (c *Delete) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(appendRequest(appendAgent(dst, c.Agent), c.Request), c.Fence)
}

func (c *Delete) parseBody(r *reader) {
	c.Agent, c.Request, c.Fence = r.agent(), r.request(), r.uvarint()
}

func (c *LeaderStart) appendBody(dst []byte) []byte {
	dst = appendBytes(binary.AppendUvarint(dst, c.Term), c.Node)
	return binary.AppendUvarint(append(dst, c.ClusterID[:]...), c.Generation)
}

func (c *LeaderStart) parseBody(r *reader) {
	c.Term, c.Node = r.uvarint(), r.string()
	copy(c.ClusterID[:], r.take(uint64(len(c.ClusterID))))
	c.Generation = r.uvarint()
}

func (c *RaiseLevel) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(dst, uint64(c.Level))
}

func (c *RaiseLevel) parseBody(r *reader) { c.Level = r.uint32() }

func (c *Reclaim) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(appendAgent(dst, c.Agent), uint64(c.Limit))
}

func (c *Reclaim) parseBody(r *reader) { c.Agent, c.Limit = r.agent(), r.uint32() }

func (c *Rollback) appendBody(dst []byte) []byte {
	dst = appendRequest(appendAgent(dst, c.Agent), c.Request)
	dst = binary.AppendUvarint(appendOptional(dst, c.Expect), c.Number)
	return appendBool(binary.AppendUvarint(appendBytes(dst, c.Instance), c.Fence), c.Force)
}

func (c *Rollback) parseBody(r *reader) {
	c.Agent, c.Request = r.agent(), r.request()
	c.Expect, c.Number, c.Instance = r.optional(), r.uvarint(), r.string()
	c.Fence, c.Force = r.uvarint(), r.bool()
}

func (c *Fork) appendBody(dst []byte) []byte {
	dst = appendRequest(appendAgent(dst, c.Agent), c.Request)
	dst = binary.AppendUvarint(appendAgent(dst, c.Source), c.Number)
	return binary.AppendUvarint(appendBytes(dst, c.Instance), c.Fence)
}

func (c *Fork) parseBody(r *reader) {
	c.Agent, c.Request = r.agent(), r.request()
	c.Source, c.Number, c.Instance, c.Fence = r.agent(), r.uvarint(), r.string(), r.uvarint()
}

func (c *Pin) appendBody(dst []byte) []byte {
	return appendBool(binary.AppendUvarint(appendAgent(dst, c.Agent), c.Number), c.Pinned)
}

func (c *Pin) parseBody(r *reader) { c.Agent, c.Number, c.Pinned = r.agent(), r.uvarint(), r.bool() }

func (c *Prune) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(appendAgent(dst, c.Agent), c.Stamp)
	dst = binary.AppendUvarint(dst, uint64(len(c.Ranges)))
	for _, n := range c.Ranges {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, n.From), n.To)
	}
	return dst
}

func (c *Prune) parseBody(r *reader) {
	c.Agent, c.Stamp = r.agent(), r.uvarint()
	if n := r.count(2); n > 0 {
		c.Ranges = make([]NumberRange, n)
	}
	for i := range c.Ranges {
		c.Ranges[i] = NumberRange{From: r.uvarint(), To: r.uvarint()}
	}
}

func (c *Replace) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, c.Segment), uint64(c.Position))
	return record.AppendContent(binary.AppendUvarint(dst, c.Stamp), c.Content)
}

func (c *Replace) parseBody(r *reader) {
	c.Segment, c.Position, c.Stamp, c.Content = r.uvarint(), r.uint32(), r.uvarint(), r.content()
}

func (c *Part) appendBody(dst []byte) []byte {
	dst = slices.Grow(dst, len(c.Data)+32)
	dst = binary.AppendUvarint(append(dst, c.Upload[:]...), uint64(c.Index))
	return appendBytes(binary.AppendUvarint(dst, uint64(c.CRC32C)), c.Data)
}

func (c *Part) parseBody(r *reader) {
	c.Upload, c.Index, c.CRC32C, c.Data = r.upload(), r.uint32(), r.uint32(), r.bytes()
}

func (c *ExpireUploads) appendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Before))
	dst = binary.AppendUvarint(dst, uint64(len(c.Uploads)))
	for _, upload := range c.Uploads {
		dst = append(dst, upload[:]...)
	}
	return dst
}

func (c *ExpireUploads) parseBody(r *reader) {
	c.Before = int64(r.fixed64())
	if n := r.count(len([16]byte{})); n > 0 {
		c.Uploads = make([][16]byte, n)
	}
	for i := range c.Uploads {
		c.Uploads[i] = r.upload()
	}
}

func (c *MarkBad) appendBody(dst []byte) []byte {
	return append(binary.AppendUvarint(appendAgent(dst, c.Agent), c.Number), c.SHA256[:]...)
}

func (c *MarkBad) parseBody(r *reader) {
	c.Agent, c.Number, c.SHA256 = r.agent(), r.uvarint(), r.hash()
}

func appendRequest(dst []byte, q Request) []byte {
	dst = append(dst, q.Nonce[:]...)
	dst = binary.AppendUvarint(dst, q.Generation)
	dst = binary.AppendUvarint(dst, q.Seen)
	return binary.AppendUvarint(dst, uint64(q.Attempt))
}

func (r *reader) request() (q Request) {
	copy(q.Nonce[:], r.take(uint64(len(q.Nonce))))
	q.Generation, q.Seen, q.Attempt = r.uvarint(), r.uvarint(), r.uint32()
	return q
}

func (r *reader) upload() (id [16]byte) {
	copy(id[:], r.take(uint64(len(id))))
	return id
}

// content reads the stored form of a content, which is all that is left.
func (r *reader) content() record.Content {
	content, err := record.ParseContent(r.take(uint64(len(r.b))))
	if err != nil {
		r.fail()
	}
	return content
}
