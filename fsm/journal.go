// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/hawserdb/hawser"
)

// Rules of effects. They are frozen at the feature level that set them.
const (
	maxEffectID          = 128
	maxEffectDescription = 256
	maxEffectResult      = 64 << 10
	maxEffectsPerSave    = 16
	maxEffects           = 10_000
	maxEffectResults     = 16 << 20
	maxForkDepth         = 64
	maxForget            = 1_000
	// maxRewinds is how many rollbacks a journal tells apart.
	maxRewinds = 64
)

// journalRecord is what the machine keeps of a journal: of the effects of one
// agent, and of what it has of the agent that it was forked from. It outlives its
// agent as long as forks read it.
type journalRecord struct {
	// owned is set while the agent is there, children counts the journals that
	// inherit from this one.
	// Invariant: owned or children > 0.
	owned    bool
	children uint64
	// parent is the journal that this one inherits from, 0 for none: what has a
	// sequence below position there, and depth how many journals there are above.
	parent, position, depth uint64
	// from is the version of the parent's agent that the first one here repeats.
	from uint64
	// inherited counts the effects that were inherited, inheritedBytes their
	// results, an open one as the longest possible.
	inherited, inheritedBytes uint64
	// next is the sequence of the next effect; shared is the newest position
	// of a child, below which nothing may be forgotten.
	next, shared uint64
	// count, open and bytes are of the effects here, the open ones, and the
	// results.
	count, open, bytes uint64
	// last is the highest since of an effect here.
	last uint64
	// rewinds are rollbacks of the agent, ascending, that went back before the
	// end of an effect, or before another one of them.
	rewinds []rewind
}

// rewind is a rollback: version at repeats version to. Several may be one, of
// which start is the first: then from start on nothing that ended between to and
// at counts as reflected, which is true of some of it.
// Invariant: start <= at, and to < at.
type rewind struct{ start, at, to uint64 }

func (j *journalRecord) append(dst []byte) []byte {
	dst = appendBool(append(dst, storedFormat), j.owned)
	for _, v := range [...]uint64{
		j.children, j.parent, j.position, j.depth, j.from, j.inherited, j.inheritedBytes, j.next, j.shared, j.count, j.open, j.bytes, j.last,
		uint64(len(j.rewinds)),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	for _, w := range j.rewinds {
		dst = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(dst, w.start), w.at), w.to)
	}
	return dst
}

func parseJournal(b []byte) (*journalRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	j := &journalRecord{owned: r.bool(), children: r.uvarint(), parent: r.uvarint(), position: r.uvarint(), depth: r.uvarint(), from: r.uvarint()}
	j.inherited, j.inheritedBytes, j.next, j.shared = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	j.count, j.open, j.bytes, j.last = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	for range r.count(3) {
		j.rewinds = append(j.rewinds, rewind{start: r.uvarint(), at: r.uvarint(), to: r.uvarint()})
	}
	if !j.owned && j.children == 0 || j.next == 0 || j.open > j.count || j.shared > j.next {
		r.fail()
	}
	return j, r.end()
}

// reflects reports whether version number of the journal's agent was saved after
// an effect had ended, of which since is the first version that could tell, and
// on a line of versions on which that was not rolled back.
func (j *journalRecord) reflects(number, since uint64) bool {
	for _, w := range slices.Backward(j.rewinds) {
		if w.start > number {
			continue
		}
		if since > w.at {
			break
		}
		number = min(number, w.to)
	}
	return since <= number
}

// effectRecord is what the machine keeps of an effect, but for its result.
type effectRecord struct {
	// sequence orders the effects of a journal by when they came there.
	sequence uint64
	state    hawser.EffectState
	policy   hawser.EffectPolicy
	// nonce is of the call that begun it last.
	nonce       hawser.Nonce
	key         string
	description string
	input       hawser.Hash
	attempts    uint32
	instance    string
	epoch, head uint64
	begun       int64
	// version was saved with its end, 0 for none; since is the first version
	// that could reflect the end.
	version, since uint64
	finished       int64
	reason         string
	resolved       bool
	// digest and size are of the result.
	digest   hawser.Hash
	size     uint64
	revision uint64
}

func (e *effectRecord) append(dst []byte) []byte {
	dst = append(dst, storedFormat, byte(e.state), byte(e.policy))
	dst = append(append(append(dst, e.nonce[:]...), e.input[:]...), e.digest[:]...)
	for _, v := range [...]uint64{
		e.sequence, uint64(e.attempts), e.epoch, e.head, uint64(e.begun), e.version, e.since, uint64(e.finished), e.size, e.revision,
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendBytes(appendBytes(appendBytes(dst, e.key), e.description), e.instance)
	return appendBool(appendBytes(dst, e.reason), e.resolved)
}

func parseEffect(b []byte) (*effectRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	e := &effectRecord{state: hawser.EffectState(r.byte()), policy: hawser.EffectPolicy(r.byte())}
	copy(e.nonce[:], r.take(uint64(len(e.nonce))))
	e.input, e.digest = r.hash(), r.hash()
	e.sequence, e.attempts, e.epoch, e.head, e.begun = r.uvarint(), r.uint32(), r.uvarint(), r.uvarint(), r.int63()
	e.version, e.since, e.finished, e.size, e.revision = r.uvarint(), r.uvarint(), r.int63(), r.uvarint(), r.uvarint()
	e.key, e.description, e.instance = r.string(), r.string(), r.string()
	e.reason, e.resolved = r.string(), r.bool()
	if e.sequence == 0 || e.state < hawser.EffectOpen || e.state > hawser.EffectRetry || e.state.Finished() != (e.since != 0) {
		r.fail()
	}
	return e, r.end()
}

// info describes an effect of an agent, without its result.
func (e *effectRecord) info(agent hawser.AgentID, id string, inherited bool) hawser.Effect {
	info := hawser.Effect{
		Agent: agent, ID: id, State: e.state, Policy: e.policy, Key: e.key, Description: e.description, Input: e.input, Attempts: e.attempts,
		Instance: e.instance, Epoch: e.epoch, Head: e.head, BegunAt: unix(e.begun), Version: e.version, Reason: e.reason, Resolved: e.resolved,
		ResultSize: int64(e.size), Revision: hawser.Revision(e.revision), Inherited: inherited,
	}
	if e.finished != 0 {
		info.FinishedAt = unix(e.finished)
	}
	return info
}

// Keys of a journal: its number, then what it is, then what names it.
const (
	journalEffect = 'e' // id
	journalResult = 'r' // id
	journalOpen   = 'o' // sequence
	journalEnded  = 'd' // since, sequence
)

func journalKey(journal uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixJournal}, journal)
}

// journalsKey is where the newest number of a journal is kept.
func journalsKey() []byte { return []byte{prefixJournal} }

func effectKey(journal uint64, kind byte, id string) []byte {
	return append(append(journalKey(journal), kind), id...)
}

// indexKey finds an effect by its state.
func (e *effectRecord) indexKey(journal uint64) []byte {
	if e.state.Finished() {
		return binary.BigEndian.AppendUint64(endedKey(journal, e.since), e.sequence)
	}
	return binary.BigEndian.AppendUint64(append(journalKey(journal), journalOpen), e.sequence)
}

// endedKey is what the keys of the effects start with of which since is this.
func endedKey(journal, since uint64) []byte {
	return binary.BigEndian.AppendUint64(append(journalKey(journal), journalEnded), since)
}

// getter reads small values.
type getter interface {
	get(key []byte) ([]byte, error)
}

func (v *View) get(key []byte) ([]byte, error) {
	value, _, err := v.snap.Get(key)
	return value, err
}

func readJournal(src getter, journal uint64) (*journalRecord, error) {
	value, err := src.get(journalKey(journal))
	if err != nil {
		return nil, err
	}
	j, err := parseJournal(value)
	if err != nil {
		return nil, damaged("journal", err)
	}
	return j, nil
}

func readEffect(src getter, journal uint64, id string) (*effectRecord, error) {
	value, err := src.get(effectKey(journal, journalEffect, id))
	if err != nil || value == nil {
		return nil, err
	}
	e, err := parseEffect(value)
	if err != nil {
		return nil, damaged("effect "+id, err)
	}
	return e, nil
}

// readResult returns the result of an effect that is in a journal.
func readResult(src getter, journal uint64, id string, e *effectRecord) ([]byte, error) {
	if e.size == 0 {
		return nil, nil
	}
	result, err := src.get(effectKey(journal, journalResult, id))
	if err == nil && uint64(len(result)) != e.size {
		err = damaged("result of effect "+id, errMalformed)
	}
	return result, err
}

// journalLink is a journal that an agent reads, and up to which sequence.
type journalLink struct {
	number uint64
	*journalRecord
	below uint64
	// at is the version of the journal's agent at which it is looked at.
	at uint64
}

// journalsOf returns the journals that an agent reads, whose own is the first, as
// they are seen from one of its versions.
func journalsOf(src getter, journal, at uint64) (links []journalLink, err error) {
	below := uint64(math.MaxUint64)
	for journal != 0 {
		j, err := readJournal(src, journal)
		if err != nil {
			return nil, err
		}
		links = append(links, journalLink{journal, j, below, at})
		journal, below, at = j.parent, j.position, j.from
	}
	return links, nil
}

// find returns an effect as an agent sees it and where it is, nil when nobody has
// begun it.
func find(src getter, links []journalLink, id string) (e *effectRecord, depth int, err error) {
	for i, l := range links {
		e, err := readEffect(src, l.number, id)
		if err != nil || e != nil && e.sequence < l.below {
			return e, i, err
		}
	}
	return nil, 0, nil
}
