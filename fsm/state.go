// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// state is what the machine keeps of the cluster as a whole.
type state struct {
	level      uint32
	cluster    [16]byte
	generation uint64
	revision   uint64
	time       int64
	agents     uint64
	leaderTerm uint64
	leaderNode string
	// segments counts the segments ever made; the next one gets the next
	// number, so that none has number 0.
	segments uint64
	// retention is the revision of the last change of a retention policy or
	// [MarkBad].
	retention uint64
	// staged is the number of bytes in parts that belong to no content yet.
	staged uint64
	// trimmed is the newest revision of which the events are gone, events how
	// many there are.
	trimmed, events uint64
	// leases counts the open ones, grants the locks that were ever granted.
	leases, grants uint64
	// importing is set while the machine is being filled from an archive.
	importing bool
}

// firstLevel is the feature level of a new machine.
const firstLevel = 1

func (s *state) append(dst []byte) []byte {
	// Format and level come first in every format, so that an old binary can say why it refuses.
	dst = binary.AppendUvarint(append(dst, storedFormat), uint64(s.level))
	dst = append(dst, s.cluster[:]...)
	for _, v := range [...]uint64{s.generation, s.revision, uint64(s.time), s.agents, s.leaderTerm, s.segments, s.retention, s.staged, s.trimmed, s.events, s.leases, s.grants} {
		dst = binary.AppendUvarint(dst, v)
	}
	return appendBytes(appendBool(dst, s.importing), s.leaderNode)
}

// parseState reads a state, which may be of a later version of Hawser: then
// the error is *halt.Error{Level}.
func parseState(b []byte, maxLevel uint32) (state, error) {
	r := &reader{b: b}
	format := r.byte()
	s := state{level: r.uint32()}
	if !r.bad && s.level > maxLevel {
		return state{}, levelError(fmt.Errorf("the state is of feature level %d, this binary knows levels up to %d", s.level, maxLevel))
	}
	if !r.bad && format > 0 && format < storedFormat {
		return state{}, earlierBuild("the state")
	}
	if format != storedFormat || s.level == 0 {
		return state{}, errMalformed
	}
	copy(s.cluster[:], r.take(uint64(len(s.cluster))))
	s.generation, s.revision, s.time = r.uvarint(), r.uvarint(), int64(r.uvarint())
	s.agents, s.leaderTerm, s.segments = r.uvarint(), r.uvarint(), r.uvarint()
	s.retention, s.staged, s.trimmed, s.events = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	s.leases, s.grants = r.uvarint(), r.uvarint()
	s.importing = r.bool()
	s.leaderNode = r.string()
	return s, r.end()
}

// Info is what the machine knows of the cluster as a whole.
type Info struct {
	// ClusterID and Generation are zero before the first LeaderStart.
	ClusterID  [16]byte
	Generation hawser.Generation
	// Revision counts the commands that changed something a user can see.
	Revision hawser.Revision
	// Time is the machine's clock: the newest stamp, never going back.
	Time time.Time
	// Level is the feature level.
	Level uint32
	// Agents counts the agents that have a live version.
	Agents uint64
	// LeaderTerm and LeaderNode are of the last LeaderStart.
	LeaderTerm uint64
	LeaderNode string
	// Importing is set while the machine is being filled from an archive. What
	// is there is incomplete then, and all reads of agents are refused.
	Importing bool
}

func (s *state) info() Info {
	return Info{
		ClusterID: s.cluster, Generation: hawser.Generation(s.generation), Revision: hawser.Revision(s.revision),
		Time: unix(s.time), Level: s.level, Agents: s.agents, LeaderTerm: s.leaderTerm, LeaderNode: s.leaderNode, Importing: s.importing,
	}
}

// Meta says how far a state has come in the raft log. It is kept in the state
// itself and changes together with it.
type Meta struct {
	// Index and Term are of the last applied entry, 0 for none.
	Index, Term uint64
	// Configuration is the newest cluster configuration up to Index, as it
	// was given to Apply, and ConfigurationIndex its index.
	Configuration      []byte
	ConfigurationIndex uint64
}

// appendMeta encodes what is stored of both but the configuration.
func appendMeta(dst []byte, m Meta, marks Marks) []byte {
	dst = binary.AppendUvarint(append(dst, storedFormat), m.Index)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, m.Term), m.ConfigurationIndex)
	return marks.Audited.append(marks.Applied.append(dst))
}

// parseMeta reads the two stored values; nil is a machine that applied nothing.
func parseMeta(applied, configuration []byte) (Meta, Marks, error) {
	if applied == nil {
		return Meta{}, Marks{}, nil
	}
	r := &reader{b: applied}
	if r.byte() != storedFormat {
		return Meta{}, Marks{}, errMalformed
	}
	m := Meta{Index: r.uvarint(), Term: r.uvarint(), ConfigurationIndex: r.uvarint()}
	marks := Marks{Applied: parseMark(r), Audited: parseMark(r)}
	if m.ConfigurationIndex > m.Index || marks.Applied.Index > m.Index || marks.Audited.Index > marks.Applied.Index || (m.ConfigurationIndex == 0) != (configuration == nil) {
		r.fail()
	}
	m.Configuration = configuration
	return m, marks, r.end()
}
