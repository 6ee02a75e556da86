// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"encoding/binary"

	"github.com/hawserdb/hawser"
)

// Keys sort as bytes. Names hold no control characters, so a zero byte ends
// them and keeps an agent's keys together:
//
//	a ns 0 name              agent with a live version
//	b ns 0 txn 0 index       what a transaction tells a participant
//	c ns 0 name 0 ^number    one record a number of the chain, newest first
//	d ns 0 name 0 number ns 0 name 0 number
//	                         the second version was computed from the first
//	e revision               events of a revision
//	f ns                     floors: where new agents of the namespace start
//	g ns 0 name              agent with deleted versions left to reclaim
//	h kind ns 0 name         resource that is held or waited for
//	i ns                     number at which new inboxes of the namespace start
//	i ns 0 name              inbox: its counters
//	i ns 0 name 0 number     message
//	j                        newest number of a journal
//	j journal                journal: the effects of an agent
//	j journal d since sequence
//	                         effect that ended: the first version that may reflect it
//	j journal e id           effect
//	j journal o sequence     effect that is open
//	j journal r id           result of an effect
//	k time ns 0 txn          transaction with something due at a time
//	l lease                  lease
//	m applied|configuration|import|state
//	n ns                     counters of a namespace's transactions
//	o lease kind ns 0 name   what a lease holds or waits for
//	p upload index           part of a content that is staged in parts
//	q ns 0 name 0 revision   undecided transactions of an agent, in order
//	r                        number of retention policies
//	r ns 0 prefix            retention policy
//	s segment                segment: what is in it, and who refers to it
//	s segment position       content
//	t ns 0 name              agent without a live version: its counters
//	u upload                 upload that belongs to no content yet
//	v ns                     number of sessions of a namespace
//	v ns 0 session           session of a sender of messages
//	w kind ns 0 name 0 turn  who waits for a resource, in order
//	x ns 0 txn               transaction
//	y ns 0 name              what an agent has staged with its vote
//	z ns 0 name 0 revision   decision that an agent has not acknowledged
//	C ns                     number of cuts of a namespace
//	C ns 0 name              cut
//
// Numbers, revisions and times are big endian: 8 bytes, a position and an index 4; an
// upload, a session and a lease are 16 bytes, a kind is one, a turn 12.
const (
	prefixAgent    = 'a'
	prefixPayload  = 'b'
	prefixChain    = 'c'
	prefixDerived  = 'd'
	prefixEvent    = 'e'
	prefixFloor    = 'f'
	prefixGarbage  = 'g'
	prefixResource = 'h'
	prefixInbox    = 'i'
	prefixJournal  = 'j'
	prefixDue      = 'k'
	prefixLease    = 'l'
	prefixMeta     = 'm'
	prefixTally    = 'n'
	prefixHeld     = 'o'
	prefixPart     = 'p'
	prefixQueue    = 'q'
	prefixPolicy   = 'r'
	prefixSegment  = 's'
	prefixTomb     = 't'
	prefixUpload   = 'u'
	prefixSession  = 'v'
	prefixWaiter   = 'w'
	prefixTxn      = 'x'
	prefixStaged   = 'y'
	prefixOpen     = 'z'
	prefixCut      = 'C'
)

func metaKeys() (applied, configuration, state []byte) {
	return []byte("mapplied"), []byte("mconfiguration"), []byte("mstate")
}

// agentKey is the key of an agent in the family of prefix a, g or t.
func agentKey(dst []byte, prefix byte, id hawser.AgentID) []byte {
	dst = append(append(dst, prefix), id.Namespace...)
	return append(append(dst, 0), id.Name...)
}

// splitAgentKey is the reverse of agentKey.
func splitAgentKey(key []byte) (hawser.AgentID, bool) {
	for i, c := range key {
		if c == 0 && i > 0 {
			return hawser.AgentID{Namespace: string(key[1:i]), Name: string(key[i+1:])}, true
		}
	}
	return hawser.AgentID{}, false
}

func chainKey(dst []byte, id hawser.AgentID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(agentKey(dst, prefixChain, id), 0), ^number)
}

func segmentKey(dst []byte, segment uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefixSegment), segment)
}

func contentKey(dst []byte, segment uint64, position uint32) []byte {
	return binary.BigEndian.AppendUint32(segmentKey(dst, segment), position)
}

func uploadKey(dst []byte, upload [16]byte) []byte {
	return append(append(dst, prefixUpload), upload[:]...)
}

func partKey(dst []byte, upload [16]byte, index uint32) []byte {
	return binary.BigEndian.AppendUint32(append(append(dst, prefixPart), upload[:]...), index)
}

// resourceKey is the key of a resource in the family of prefix h or w.
func resourceKey(dst []byte, prefix byte, r hawser.Resource) []byte {
	dst = append(append(dst, prefix, byte(r.Kind)), r.Name.Namespace...)
	return append(append(dst, 0), r.Name.Name...)
}

// splitResource is the reverse of resourceKey, without the prefix.
func splitResource(key []byte) (r hawser.Resource, ok bool) {
	if len(key) == 0 {
		return r, false
	}
	r.Kind = hawser.ResourceKind(key[0])
	r.Name, ok = splitAgentKey(key)
	return r, ok
}

func waiterKey(r hawser.Resource, t turn) []byte {
	return t.append(append(resourceKey(nil, prefixWaiter, r), 0))
}

func leaseKey(dst []byte, id hawser.LeaseID) []byte {
	return append(append(dst, prefixLease), id[:]...)
}

func heldKey(id hawser.LeaseID, r hawser.Resource) []byte {
	dst := append([]byte{prefixHeld}, id[:]...)
	dst = append(append(dst, byte(r.Kind)), r.Name.Namespace...)
	return append(append(dst, 0), r.Name.Name...)
}

func splitHeldKey(key []byte) (hawser.Resource, bool) {
	if len(key) < 1+len(hawser.LeaseID{}) {
		return hawser.Resource{}, false
	}
	return splitResource(key[1+len(hawser.LeaseID{}):])
}

// keyAfter is the first key after all that start with prefix.
func keyAfter(prefix []byte) []byte {
	upper := append([]byte{}, prefix...)
	for i := len(upper) - 1; i >= 0; i-- {
		if upper[i]++; upper[i] != 0 {
			return upper[:i+1]
		}
	}
	return upper // no family starts with 0xff
}

// derivedFromKey is what the keys of all versions start with that were
// computed from the source.
func derivedFromKey(dst []byte, source hawser.VersionRef) []byte {
	return binary.BigEndian.AppendUint64(append(agentKey(dst, prefixDerived, source.Agent), 0), source.Number)
}

func derivedKey(dst []byte, source, version hawser.VersionRef) []byte {
	dst = append(append(derivedFromKey(dst, source), version.Agent.Namespace...), 0)
	dst = append(append(dst, version.Agent.Name...), 0)
	return binary.BigEndian.AppendUint64(dst, version.Number)
}

// splitDerivedKey is the reverse of derivedKey.
func splitDerivedKey(key []byte) (source, version hawser.VersionRef, ok bool) {
	if len(key) == 0 || key[0] != prefixDerived {
		return source, version, false
	}
	source, rest, ok := splitRef(key[1:])
	if !ok {
		return source, version, false
	}
	version, rest, ok = splitRef(rest)
	return source, version, ok && len(rest) == 0
}

// splitRef takes ns 0 name 0 number off key.
func splitRef(key []byte) (ref hawser.VersionRef, rest []byte, ok bool) {
	namespace, key, ok := bytes.Cut(key, []byte{0})
	if !ok {
		return ref, nil, false
	}
	name, key, ok := bytes.Cut(key, []byte{0})
	if !ok || len(key) < 8 {
		return ref, nil, false
	}
	id := hawser.AgentID{Namespace: string(namespace), Name: string(name)}
	return hawser.VersionRef{Agent: id, Number: binary.BigEndian.Uint64(key)}, key[8:], true
}

// The rules that keep keys in order. They are frozen, unlike the limits of
// package hawser: replicas of different versions must agree on what they refuse.
const maxKeyPart = 4096

func validAgent(id hawser.AgentID) bool { return validPart(id.Namespace) && validPart(id.Name) }

func validPart(s string) bool {
	if s == "" || len(s) > maxKeyPart {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 {
			return false
		}
	}
	return true
}
