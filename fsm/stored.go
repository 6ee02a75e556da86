// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/hawserdb/hawser"
)

// storedFormat is the first byte of every stored value but contents and parts.
// Formats 1 to 5 were those of development builds that knew no deltas, no events,
// no transactions, no messages or no replica digest.
const storedFormat = 6

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
	// oldest is at most the number of the oldest version that is there.
	oldest uint64
	// stubs is at least the newest number above floor whose version was pruned
	// and whose record the window keeps.
	stubs uint64
	// blind is the number up to which the records of versions that are gone may
	// be missing, though the window would keep them: those of an agent whose
	// tomb was removed, or of an archive. 0 for none.
	blind uint64
	// versions counts the versions that are there, stored their bytes, pins
	// those that are pinned.
	versions, stored, pins uint64
	// created is when the first version since the last delete was made,
	// deleted when the last delete was, 0 for never.
	// The end of a claim while there was no version counts as a delete.
	created, deleted int64
	// epoch counts the grants and ends of claims.
	epoch uint64
	// fenced is set when writes need the fence of a claim; busy when there is a
	// claim or somebody waits for one, of which the resource tells.
	fenced, busy bool
	// queued counts the undecided transactions that the agent takes part in, turn
	// is the revision at which the first of them was begun, 0 for none; locked is
	// set when it has voted yes in that one. open counts the decisions that it has
	// not acknowledged.
	queued, turn, open uint64
	locked             bool
	// journal holds its effects, 0 for none.
	journal uint64
}

func (a *agentRecord) append(dst []byte) []byte {
	dst = append(dst, storedFormat)
	for _, v := range [...]uint64{
		a.head, a.live, a.floor, a.cleared, a.oldest, a.stubs, a.blind, a.versions, a.stored, a.pins,
		uint64(a.created), uint64(a.deleted), a.epoch, a.queued, a.turn, a.open, a.journal,
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	return appendBool(appendBool(appendBool(dst, a.fenced), a.busy), a.locked)
}

func parseAgent(b []byte) (agentRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return agentRecord{}, errMalformed
	}
	a := agentRecord{head: r.uvarint(), live: r.uvarint(), floor: r.uvarint(), cleared: r.uvarint(), oldest: r.uvarint(), stubs: r.uvarint(), blind: r.uvarint()}
	a.versions, a.stored, a.pins = r.uvarint(), r.uvarint(), r.uvarint()
	a.created, a.deleted, a.epoch = int64(r.uvarint()), int64(r.uvarint()), r.uvarint()
	a.queued, a.turn, a.open, a.journal = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	a.fenced, a.busy, a.locked = r.bool(), r.bool(), r.bool()
	if a.cleared > a.floor || a.floor > a.head || a.live > a.head || a.live != 0 && a.live <= a.floor || a.stubs > a.head || a.blind > a.head ||
		a.locked && a.queued == 0 || (a.turn == 0) != (a.queued == 0) {
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
	segment  uint64
	position uint32
	pinned   bool
	// cuts counts the cuts that the version is in, unless it is below the floor.
	cuts        uint64
	instance    string
	contentType string
	schema      string
	labels      map[string]string
	// origin is what a rollback or fork repeats, derived what the saver
	// computed the version from. The latter and the origin of a fork are in
	// the index of derived versions as long as the version is there.
	origin  hawser.VersionRef
	derived []hawser.VersionRef
	// txn is the id of the transaction that made it, in the agent's namespace.
	txn string
	// moved identifies what a save has consumed and sent, as [Save.Moved].
	moved []byte
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
	dst = binary.AppendUvarint(dst, c.holds())
	dst = appendBytes(appendBytes(appendBytes(dst, c.instance), c.contentType), c.schema)
	dst = appendLabels(dst, c.labels)
	if c.origin.IsZero() {
		dst = append(dst, 0)
	} else {
		dst = appendRef(append(dst, 1), c.origin)
	}
	return appendBytes(appendBytes(appendRefs(dst, c.derived), c.txn), c.moved)
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
	c.pinned, c.cuts = r.holds()
	c.instance, c.contentType, c.schema = r.string(), r.string(), r.string()
	c.labels = r.labels()
	if r.bool() {
		if c.origin = r.ref(); c.origin.IsZero() {
			r.fail()
		}
	}
	c.derived, c.txn = r.refs(), r.string()
	if moved := r.bytes(); len(moved) > 0 {
		c.moved = bytes.Clone(moved)
	}
	if c.state < hawser.VersionLive || c.state > hawser.VersionBad || c.state != hawser.VersionGone && c.segment == 0 {
		r.fail()
	}
	return c, r.end()
}

// holds is what keeps retention from a version: whether it is pinned, and how
// many cuts it is in.
func (c *chainRecord) holds() uint64 {
	if c.pinned {
		return c.cuts<<1 | 1
	}
	return c.cuts << 1
}

func (r *reader) holds() (pinned bool, cuts uint64) {
	v := r.uvarint()
	if v>>1 > maxCuts {
		r.fail()
	}
	return v&1 != 0, v >> 1
}

// version describes c, which is a version.
func (c *chainRecord) version(id hawser.AgentID) hawser.Version {
	return hawser.Version{
		Agent: id, Number: c.number, Size: int64(c.size), SHA256: c.sha, Parent: c.parent, Epoch: c.epoch,
		Instance: c.instance, Labels: c.labels, ContentType: c.contentType, Schema: c.schema,
		CreatedAt: unix(c.created), Revision: c.revision, State: c.state, StoredSize: int64(c.stored),
		Origin: c.origin, DerivedFrom: c.derived, Pinned: c.pinned, Txn: c.txn,
	}
}

// place is where the content is, none when the state is gone.
func (c *chainRecord) place() place { return place{c.segment, c.position} }

// stub is what is left of c, whose version is gone: what a repeat needs.
func (c *chainRecord) stub() *chainRecord {
	return &chainRecord{
		number: c.number, kind: c.kind, state: hawser.VersionGone, nonce: c.nonce, expect: c.expect, sha: c.sha,
		size: c.size, parent: c.parent, epoch: c.epoch, created: c.created, revision: c.revision,
		origin: c.origin, txn: c.txn, moved: c.moved,
	}
}

func unix(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
