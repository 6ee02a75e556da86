// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Item is one thing that an archive holds: a pointer to one of the item types
// of this package. Items come in this order, which FORMAT.md describes:
// policies, floors, and then agent by agent, in ascending order of namespace
// and name, the agent, the segments that it needs and that were not there
// before, each with its contents, and its versions, oldest first.
type Item interface {
	itemType() itemType
	appendBody(dst []byte) []byte
	parseBody(r *itemReader)
}

// itemType is the first byte of an encoded item: append only.
type itemType uint8

const (
	typePolicy itemType = iota + 1
	typeFloor
	typeAgent
	typeSegment
	typeContent
	typePart
	typeVersion
)

// MaxItem is the most bytes of one encoded item.
const MaxItem = record.PartSize + 64<<10

// Policy is a retention policy.
type Policy struct{ hawser.Policy }

// Floor is where new agents of a namespace start, because the tombstones of
// others were removed.
type Floor struct {
	Namespace string
	// Number is the newest number, and Epoch the newest epoch, that one of
	// those others may have had.
	Number, Epoch uint64
}

// Agent is an agent, with live versions or deleted.
type Agent struct {
	ID hawser.AgentID
	// Head is the newest number of the chain, Live that of the head version, 0
	// for a deleted agent. Floor is the number of the last delete: every
	// version is above it.
	Head, Live, Floor uint64
	Epoch             uint64
	// Versions is how many Version items follow.
	Versions uint64
	// Created and Deleted are unix nanoseconds, 0 for never.
	Created, Deleted int64
}

// Segment is a run of contents at consecutive positions. Its contents follow.
// A segment that several agents need comes again with a later one of them, when
// that one needs more of it; then only the further contents follow.
type Segment struct {
	// ID orders segments: a parent has a lower one.
	ID uint64
	// Parent and ParentPosition name the content that the first delta follows;
	// 0 when the first content is a keyframe.
	Parent         uint64
	ParentPosition uint32
	// First is the position of the first content.
	First uint32
	// Shared says that versions of several agents may refer to it.
	Shared bool
}

// Content is the next content of the segment that came last. Upload is not
// kept. When Parts is not 0 there is no Data, and so many Part items follow.
type Content struct {
	Segment  uint64
	Position uint32
	record.Content
}

// Part is the next part of the content that came last.
type Part struct {
	Index uint32
	// Data has record.PartSize bytes, in the last part at most so many.
	Data []byte
}

// Version is a version of the agent that came last.
type Version struct {
	// Version has no Agent.
	hawser.Version
	// Kind, Nonce and Expect are of the request that made it.
	Kind   hawser.RequestKind
	Nonce  hawser.Nonce
	Expect *uint64
	// Segment and Position say which content it has.
	Segment  uint64
	Position uint32
}

func (*Policy) itemType() itemType  { return typePolicy }
func (*Floor) itemType() itemType   { return typeFloor }
func (*Agent) itemType() itemType   { return typeAgent }
func (*Segment) itemType() itemType { return typeSegment }
func (*Content) itemType() itemType { return typeContent }
func (*Part) itemType() itemType    { return typePart }
func (*Version) itemType() itemType { return typeVersion }

// AppendItem appends the encoded item, which [ParseItem] reads when it is well
// formed. It does not keep it.
func AppendItem(dst []byte, item Item) []byte {
	return item.appendBody(append(dst, byte(item.itemType())))
}

// ParseItem reads one encoded item. What it accepts it accepts in one form
// only, and is well formed in itself; how items fit together is for the reader
// of several to check. The Data of the result alias b. It allocates no more
// than a small multiple of len(b). Errors match hawser.ErrCorrupt.
func ParseItem(b []byte) (Item, error) {
	if len(b) > MaxItem {
		return nil, corruptItem("it has %d bytes, the most is %d", len(b), MaxItem)
	}
	r := &itemReader{b: b}
	item := newItem(itemType(r.byte()))
	if item == nil {
		if len(b) == 0 {
			return nil, corruptItem("it is empty")
		}
		return nil, corruptItem("its type %d is unknown; a newer Hawser may know it", b[0])
	}
	item.parseBody(r)
	if len(r.b) != 0 {
		r.fail("bytes follow it")
	}
	if r.fault != "" {
		return nil, corruptItem("a %s: %s", itemType(b[0]), r.fault)
	}
	return item, nil
}

func newItem(t itemType) Item {
	switch t {
	case typePolicy:
		return new(Policy)
	case typeFloor:
		return new(Floor)
	case typeAgent:
		return new(Agent)
	case typeSegment:
		return new(Segment)
	case typeContent:
		return new(Content)
	case typePart:
		return new(Part)
	case typeVersion:
		return new(Version)
	}
	return nil
}

// String returns the type in a word.
func (t itemType) String() string {
	names := [...]string{
		typePolicy: "policy", typeFloor: "floor", typeAgent: "agent", typeSegment: "segment", typeContent: "content", typePart: "part", typeVersion: "version",
	}
	if t == 0 || int(t) >= len(names) {
		return fmt.Sprintf("item type %d", uint8(t))
	}
	return names[t]
}

func corruptItem(format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "archive item", Msg: fmt.Sprintf(format, args...)}
}
