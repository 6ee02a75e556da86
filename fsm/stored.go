// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"time"

	"github.com/hawserdb/hawser"
)

// storedFormat is the first byte of every stored value but contents.
const storedFormat = 1

// agentRecord is what the machine keeps of an agent.
type agentRecord struct {
	// head is the newest number of the chain. It only grows.
	head uint64
	// live is the number of the newest live version, 0 for none.
	live uint64
	// floor is the number of the last delete: every version at or below it is
	// gone. cleared is the number up to which that has been cleaned up.
	// Invariant: cleared <= floor <= head, and live == 0 or live > floor.
	floor, cleared uint64
	// versions counts live versions, stored their bytes.
	versions, stored uint64
	created          int64
	epoch            uint64
}

func (a *agentRecord) append(dst []byte) []byte {
	dst = append(dst, storedFormat)
	for _, v := range [...]uint64{a.head, a.live, a.floor, a.cleared, a.versions, a.stored, uint64(a.created), a.epoch} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func parseAgent(b []byte) (agentRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return agentRecord{}, errMalformed
	}
	a := agentRecord{head: r.uvarint(), live: r.uvarint(), floor: r.uvarint(), cleared: r.uvarint()}
	a.versions, a.stored, a.created, a.epoch = r.uvarint(), r.uvarint(), int64(r.uvarint()), r.uvarint()
	if a.cleared > a.floor || a.floor > a.head || a.live > a.head || a.live != 0 && a.live <= a.floor {
		r.fail()
	}
	return a, r.end()
}

// chainRecord is what the machine keeps of one number of a chain: of a
// version its description, of every command what a repeat of it needs.
type chainRecord struct {
	number uint64
	kind   hawser.RequestKind
	// state is gone for a number that is no version.
	state hawser.VersionState
	nonce hawser.Nonce
	// expect is the condition that the command came with.
	expect       *uint64
	sha          hawser.Hash
	size, stored uint64
	parent       uint64
	epoch        uint64
	created      int64
	revision     hawser.Revision
	// segment and position are where the content is, unless state is gone.
	segment     uint64
	position    uint32
	instance    string
	contentType string
	schema      string
	labels      map[string]string
}

// chainNonceAt is where the nonce is in an encoded chainRecord, after format,
// kind and state.
const chainNonceAt = 3

func (c *chainRecord) append(dst []byte) []byte {
	dst = append(dst, storedFormat, byte(c.kind), byte(c.state))
	dst = append(dst, c.nonce[:]...)
	dst = appendOptional(binary.AppendUvarint(dst, c.number), c.expect)
	dst = append(dst, c.sha[:]...)
	for _, v := range [...]uint64{c.size, c.stored, c.parent, c.epoch, uint64(c.created), uint64(c.revision), c.segment, uint64(c.position)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendBytes(appendBytes(appendBytes(dst, c.instance), c.contentType), c.schema)
	return appendLabels(dst, c.labels)
}

func parseChain(b []byte) (*chainRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	c := &chainRecord{kind: hawser.RequestKind(r.byte()), state: hawser.VersionState(r.byte())}
	copy(c.nonce[:], r.take(uint64(len(c.nonce))))
	c.number, c.expect = r.uvarint(), r.optional()
	copy(c.sha[:], r.take(uint64(len(c.sha))))
	c.size, c.stored, c.parent, c.epoch = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	c.created, c.revision = int64(r.uvarint()), hawser.Revision(r.uvarint())
	c.segment, c.position = r.uvarint(), r.uint32()
	c.instance, c.contentType, c.schema = r.string(), r.string(), r.string()
	c.labels = r.labels()
	if c.state < hawser.VersionLive || c.state > hawser.VersionBad {
		r.fail()
	}
	return c, r.end()
}

// version describes c, which is a save.
func (c *chainRecord) version(id hawser.AgentID) hawser.Version {
	return hawser.Version{
		Agent: id, Number: c.number, Size: int64(c.size), SHA256: c.sha, Parent: c.parent, Epoch: c.epoch,
		Instance: c.instance, Labels: c.labels, ContentType: c.contentType, Schema: c.schema,
		CreatedAt: unix(c.created), Revision: c.revision, State: c.state, StoredSize: int64(c.stored),
	}
}

func unix(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
