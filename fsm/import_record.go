// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/record"
)

func importKey() []byte { return []byte("mimport") }

// importRecord is how far an import has come. It stays when the import has
// ended, so that a repeat is recognised.
type importRecord struct {
	archive              hawser.Hash
	generation, revision uint64
	// items counts the items that were applied; failure is why the next one
	// was refused.
	items   uint64
	failure string
	// end is the revision that the end made, 0 before.
	end uint64
	// all counts the agents, agents those with a live version.
	all, agents, versions uint64
	// loose counts the segments whose last content nothing refers to so far.
	loose uint64
	// newest is the newest stamp of an item.
	newest int64

	// stage is that of the last policy, floor or agent, and last its key.
	stage importStage
	last  string
	// agent is the last agent; it has want versions more to come, above number
	// seen. Late says that a version came, so that no segment may.
	agent hawser.AgentID
	want  uint64
	seen  uint64
	late  bool
	// segment is the last segment of that agent, and parent and first of it.
	segment uint64
	parent  place
	first   uint32
	shared  bool
	// empty says that no content of it came yet.
	empty bool
	// content waits for parts: got came, with that checksum so far.
	content record.Content
	got     uint32
	sum     uint32
}

type importStage uint8

const (
	importPolicies importStage = iota
	importFloors
	importAgents
)

func (i *importRecord) encode() []byte {
	dst := append([]byte{storedFormat}, i.archive[:]...)
	for _, v := range [...]uint64{i.generation, i.revision, i.items, i.end, i.all, i.agents, i.versions, i.loose, uint64(i.newest)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendBytes(dst, i.failure)
	dst = appendBytes(append(dst, byte(i.stage)), i.last)
	dst = appendAgent(dst, i.agent)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, i.want), i.seen)
	dst = appendBool(dst, i.late)
	for _, v := range [...]uint64{i.segment, i.parent.segment, uint64(i.parent.position), uint64(i.first)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendBool(appendBool(dst, i.shared), i.empty)
	dst = append(dst, byte(i.content.Kind), byte(i.content.Encoding))
	for _, v := range [...]uint64{i.content.Size, uint64(i.content.CRC32C), uint64(i.content.Parts), uint64(i.got), uint64(i.sum)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func parseImport(b []byte) (*importRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	i := &importRecord{archive: r.hash()}
	for _, v := range [...]*uint64{&i.generation, &i.revision, &i.items, &i.end, &i.all, &i.agents, &i.versions, &i.loose} {
		*v = r.uvarint()
	}
	i.newest, i.failure = r.int63(), r.string()
	i.stage, i.last = importStage(r.byte()), r.string()
	i.agent, i.want, i.seen, i.late = r.agent(), r.uvarint(), r.uvarint(), r.bool()
	i.segment, i.parent, i.first = r.uvarint(), place{segment: r.uvarint(), position: r.uint32()}, r.uint32()
	i.shared, i.empty = r.bool(), r.bool()
	i.content = record.Content{Kind: record.Kind(r.byte()), Encoding: record.Encoding(r.byte()), Size: r.uvarint(), CRC32C: r.uint32(), Parts: r.uint32()}
	i.got, i.sum = r.uint32(), r.uint32()
	if i.stage > importAgents {
		r.fail()
	}
	return i, r.end()
}

// importing returns the import that is under way or has ended last, nil for none.
func (c *changes) importing() (*importRecord, error) {
	value, err := c.get(importKey())
	if err != nil || value == nil {
		return nil, err
	}
	rec, err := parseImport(value)
	if err != nil {
		return nil, damaged("import", err)
	}
	return rec, nil
}

// wipe removes everything but what the machine knows of the cluster, as if
// nothing had been imported. What the batch reads from now on is not there.
func (c *changes) wipe() {
	c.batch.DeleteRange([]byte{0}, []byte{prefixMeta})
	c.batch.DeleteRange([]byte{prefixMeta + 1}, []byte{0xff})
	c.state.agents, c.state.segments, c.state.retention, c.state.staged, c.state.importing = 0, 0, 0, 0, false
	c.agents, c.order = make(map[hawser.AgentID]*agent), nil
	c.chain = make(map[chainRef]*chainRecord)
	c.segments, c.segmentOrder, c.uploads, c.uploadOrder, c.values = nil, nil, nil, nil, nil
	c.state.trimmed, c.state.events, c.logged = 0, 0, nil
	c.state.leases, c.leases, c.leaseOrder = 0, nil, nil
	c.resources, c.resourceOrder, c.listed = nil, nil, nil
	c.txns, c.txnOrder = nil, nil
	c.src = wiped{c.src}
	c.drop(importKey())
}

// wiped is a source from which everything was removed.
type wiped struct{ src source }

func (w wiped) Get([]byte) ([]byte, bool, error) { return nil, false, nil }

func (w wiped) Iter(_, _ []byte) (*engine.Iterator, error) {
	return w.src.Iter([]byte{0xff}, []byte{0xff, 0})
}
