// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import "encoding/binary"

// Mark is the replica digest of one replica after one entry.
//
// The digest after a command entry is a hash of the digest before, the entry
// with its index and term, and everything that applying it wrote. So replicas
// with the same digest have applied the same entries to the same effect, since
// the beginning of the log, and replicas that once differed differ for ever. A
// state that is fetched from another replica brings its digest along, and with it
// that replica's past: the bytes themselves are not in it, nor are configurations
// and results. It is made to find defects and altered memory or disks, not
// forgeries.
type Mark struct {
	Index  uint64
	Digest uint64
}

func (m Mark) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.AppendUvarint(dst, m.Index), m.Digest)
}

func parseMark(r *reader) Mark { return Mark{Index: r.uvarint(), Digest: r.fixed64()} }

// Marks are what a machine keeps of its past. They are stored with its [Meta] and
// change together with it.
type Marks struct {
	// Applied is of the last command entry, Audited of the last one with an Audit.
	Applied, Audited Mark
}

// Audit is what the leader says its replica digest is after an entry of an
// earlier Audit. The machine only notes its own digest at this one, for the
// next: whoever takes what was applied compares (see package audit).
type Audit struct {
	Mark Mark
}

func (*Audit) kind() commandKind { return kindAudit }

func (a *Audit) appendBody(dst []byte) []byte { return a.Mark.append(dst) }
func (a *Audit) parseBody(r *reader)          { a.Mark = parseMark(r) }

// apply has the digest of this entry noted. It is not visible to users, so
// there is no new revision.
func (a *Audit) apply(c *changes) (Result, error) {
	c.audited = true
	return c.result(), nil
}
