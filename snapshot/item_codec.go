// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Bounds of the format. They are part of it, unlike the limits of package
// hawser: machines of different versions must agree on what they refuse.
const (
	maxName     = 4096
	maxPosition = 1 << 31
	// maxItemParts leaves room above record.MaxParts, which a later level may raise.
	maxItemParts = 1 << 12
)

func (p *Policy) appendBody(dst []byte) []byte {
	dst = appendString(appendString(dst, p.Namespace), p.Prefix)
	return appendUvarints(dst, p.Retention.KeepLast, uint64(p.Retention.KeepWithin),
		p.Retention.KeepHourly, p.Retention.KeepDaily, p.Retention.KeepWeekly)
}

func (p *Policy) parseBody(r *itemReader) {
	p.Namespace, p.Prefix = r.name(), r.string()
	p.Retention.KeepLast, p.Retention.KeepWithin = r.uvarint(), time.Duration(r.int63())
	p.Retention.KeepHourly, p.Retention.KeepDaily, p.Retention.KeepWeekly = r.uvarint(), r.uvarint(), r.uvarint()
	r.check(p.Prefix == "" || validName(p.Prefix) && !strings.HasSuffix(p.Prefix, "/"), "its prefix is not valid")
}

func (f *Floor) appendBody(dst []byte) []byte {
	return appendUvarints(appendString(dst, f.Namespace), f.Number, f.Epoch)
}

func (f *Floor) parseBody(r *itemReader) {
	f.Namespace, f.Number, f.Epoch = r.name(), r.uvarint(), r.uvarint()
}

func (a *Agent) appendBody(dst []byte) []byte {
	dst = appendString(appendString(dst, a.ID.Namespace), a.ID.Name)
	return appendUvarints(dst, a.Head, a.Live, a.Floor, a.Epoch, a.Versions, uint64(a.Created), uint64(a.Deleted))
}

func (a *Agent) parseBody(r *itemReader) {
	a.ID = hawser.AgentID{Namespace: r.name(), Name: r.name()}
	a.Head, a.Live, a.Floor, a.Epoch, a.Versions = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	a.Created, a.Deleted = r.int63(), r.int63()
	r.check(a.Head > 0 && a.Live <= a.Head && a.Floor <= a.Head, "its numbers are not in order")
	r.check((a.Live == 0) == (a.Versions == 0) && (a.Live == 0 || a.Live > a.Floor && a.Versions <= a.Live-a.Floor),
		"it cannot have so many versions")
}

func (s *Segment) appendBody(dst []byte) []byte {
	dst = appendUvarints(dst, s.ID, s.Parent, uint64(s.ParentPosition), uint64(s.First))
	return append(dst, flags(s.Shared))
}

func (s *Segment) parseBody(r *itemReader) {
	s.ID, s.Parent, s.ParentPosition, s.First = r.uvarint(), r.uvarint(), r.position(), r.position()
	s.Shared = r.flags(1)&1 != 0
	r.check(s.Parent < s.ID && s.ID < math.MaxInt64, "its parent is not older")
	r.check(s.Parent != 0 || s.ParentPosition == 0, "it has a position of no parent")
}

func (c *Content) appendBody(dst []byte) []byte {
	dst = appendUvarints(dst, c.Segment, uint64(c.Position))
	dst = append(dst, byte(c.Kind), byte(c.Encoding))
	dst = binary.BigEndian.AppendUint32(dst, c.CRC32C)
	dst = appendUvarints(dst, c.Size, uint64(c.Parts))
	return append(dst, c.Data...)
}

func (c *Content) parseBody(r *itemReader) {
	c.Segment, c.Position = r.uvarint(), r.position()
	c.Kind, c.Encoding = record.Kind(r.byte()), record.Encoding(r.byte())
	c.CRC32C = r.fixed32()
	c.Size, c.Parts = uint64(r.int63()), r.below(maxItemParts)
	c.Data = r.take(len(r.b))
	r.check(c.Segment > 0, "it is of no segment")
	r.check(c.Kind == record.Keyframe || c.Kind == record.Delta, "its kind is unknown")
	r.check(c.Encoding == record.Raw || c.Encoding == record.Zstd && c.Kind == record.Keyframe, "its encoding is impossible")
	if c.Parts == 0 {
		r.check(len(c.Data) <= record.MaxInline, "it is too long to be in one piece")
		r.check(c.Encoding != record.Raw || c.Size == uint64(len(c.Data)), "its size is not that of its bytes")
		return
	}
	r.check(len(c.Data) == 0, "it has bytes beside its parts")
	r.check(c.Encoding != record.Raw || partsOf(c.Size) == uint64(c.Parts), "its size is not that of its parts")
	c.Data = nil
}

// partsOf is how many parts so many bytes make.
func partsOf(size uint64) uint64 { return (size + record.PartSize - 1) / record.PartSize }

func (p *Part) appendBody(dst []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(p.Index)), p.Data...)
}

func (p *Part) parseBody(r *itemReader) {
	p.Index = r.below(maxItemParts)
	p.Data = r.take(len(r.b))
	r.check(len(p.Data) > 0 && len(p.Data) <= record.PartSize, "its length is impossible")
}

// Flags of a version.
const (
	flagPinned = 1 << iota
	flagExpect
	flagOrigin
)

func (v *Version) appendBody(dst []byte) []byte {
	dst = append(dst, byte(v.Kind), byte(v.State), flags(v.Pinned, v.Expect != nil, !v.Origin.IsZero()))
	dst = append(dst, v.Nonce[:]...)
	dst = append(dst, v.SHA256[:]...)
	dst = appendUvarints(dst, v.Number, uint64(v.Size), uint64(v.StoredSize), v.Parent, v.Epoch,
		uint64(v.CreatedAt.UnixNano()), uint64(v.Revision), v.Segment, uint64(v.Position))
	if v.Expect != nil {
		dst = binary.AppendUvarint(dst, *v.Expect)
	}
	dst = appendString(appendString(appendString(dst, v.Instance), v.ContentType), v.Schema)
	dst = binary.AppendUvarint(dst, uint64(len(v.Labels)))
	for _, key := range slices.Sorted(maps.Keys(v.Labels)) {
		dst = appendString(appendString(dst, key), v.Labels[key])
	}
	if !v.Origin.IsZero() {
		dst = appendRef(dst, v.Origin)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.DerivedFrom)))
	for _, ref := range v.DerivedFrom {
		dst = appendRef(dst, ref)
	}
	return dst
}

func (v *Version) parseBody(r *itemReader) {
	v.Kind, v.State = hawser.RequestKind(r.byte()), hawser.VersionState(r.byte())
	set := r.flags(3)
	v.Pinned = set&flagPinned != 0
	copy(v.Nonce[:], r.take(len(v.Nonce)))
	copy(v.SHA256[:], r.take(len(v.SHA256)))
	v.Number, v.Size, v.StoredSize, v.Parent, v.Epoch = r.uvarint(), r.int63(), r.int63(), r.uvarint(), r.uvarint()
	v.CreatedAt, v.Revision = time.Unix(0, r.int63()).UTC(), hawser.Revision(r.uvarint())
	v.Segment, v.Position = r.uvarint(), r.position()
	if set&flagExpect != 0 {
		expect := r.uvarint()
		v.Expect = &expect
	}
	v.Instance, v.ContentType, v.Schema = r.string(), r.string(), r.string()
	v.Labels = r.labels()
	if set&flagOrigin != 0 {
		v.Origin = r.ref()
	}
	v.DerivedFrom = r.refs()
	r.check(v.Kind == hawser.RequestSave || v.Kind == hawser.RequestRollback || v.Kind == hawser.RequestFork, "no version is made like that")
	r.check(v.State == hawser.VersionLive || v.State == hawser.VersionBad, "its state is impossible")
	r.check(v.Number > 0 && v.Parent < v.Number, "its number is impossible")
	r.check(v.Segment > 0, "it is of no segment")
}
