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
	dst = appendBytes(dst, c.Instance)
	dst = appendLabels(dst, c.Labels)
	dst = appendBytes(appendBytes(dst, c.ContentType), c.Schema)
	dst = append(dst, c.SHA256[:]...)
	dst = append(dst, byte(c.Content.Kind), byte(c.Content.Encoding))
	dst = binary.AppendUvarint(dst, c.Content.Size)
	dst = binary.AppendUvarint(dst, uint64(c.Content.CRC32C))
	return appendBytes(dst, c.Content.Data)
}

func (c *Save) parseBody(r *reader) {
	c.Agent, c.Request = r.agent(), r.request()
	c.Expect = r.optional()
	c.Instance = r.string()
	c.Labels = r.labels()
	c.ContentType, c.Schema = r.string(), r.string()
	copy(c.SHA256[:], r.take(uint64(len(c.SHA256))))
	c.Content = record.Content{Kind: record.Kind(r.byte()), Encoding: record.Encoding(r.byte())}
	c.Content.Size = r.uvarint()
	c.Content.CRC32C = r.uint32()
	c.Content.Data = r.bytes()
}

func (c *Delete) appendBody(dst []byte) []byte {
	return appendRequest(appendAgent(dst, c.Agent), c.Request)
}

func (c *Delete) parseBody(r *reader) { c.Agent, c.Request = r.agent(), r.request() }

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
