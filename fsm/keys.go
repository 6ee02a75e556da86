// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"

	"github.com/hawserdb/hawser"
)

// Keys sort as bytes. Names hold no control characters, so a zero byte ends
// them and keeps an agent's keys together:
//
//	a ns 0 name              agent with a live version
//	c ns 0 name 0 ^number    one record a number of the chain, newest first
//	g ns 0 name              agent with deleted versions left to reclaim
//	m applied|configuration|state
//	s segment position       content
//	t ns 0 name              agent without a live version: its counters
//
// Numbers are big endian: 8 bytes, a position 4.
const (
	prefixAgent   = 'a'
	prefixChain   = 'c'
	prefixGarbage = 'g'
	prefixMeta    = 'm'
	prefixContent = 's'
	prefixTomb    = 't'
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

func contentKey(dst []byte, segment uint64, position uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(append(dst, prefixContent), segment), position)
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
