// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"

	"github.com/hawserdb/hawser"
)

// effectChecker holds what is stored of journals. What checkEffects has
// accounted for it takes out.
type effectChecker struct {
	newest   uint64
	journals map[uint64]*journalRecord
	effects  map[uint64]map[string]*effectRecord
	results  map[string][]byte
	index    map[string]string
}

func newEffectChecker() effectChecker {
	return effectChecker{
		journals: map[uint64]*journalRecord{}, effects: map[uint64]map[string]*effectRecord{}, results: map[string][]byte{}, index: map[string]string{},
	}
}

func (x *effectChecker) value(key, value []byte) (err error) {
	if len(key) == 1 {
		x.newest, _ = binary.Uvarint(value)
		return nil
	}
	number := binary.BigEndian.Uint64(key[1:])
	switch {
	case len(key) == 9:
		x.journals[number], err = parseJournal(value)
	case key[9] == journalEffect:
		if x.effects[number] == nil {
			x.effects[number] = map[string]*effectRecord{}
		}
		x.effects[number][string(key[10:])], err = parseEffect(value)
	case key[9] == journalResult:
		x.results[string(key)] = value
	case key[9] == journalOpen, key[9] == journalEnded:
		x.index[string(key)] = string(value)
	default:
		err = errMalformed
	}
	return err
}

// checkEffects: every journal is some agent's, or a fork of one reads it; what
// it counts is there, and found by its state.
func (k *checker) checkEffects() {
	k.t.Helper()
	x := &k.effects
	owned, children, shared := map[uint64]int{}, map[uint64]uint64{}, map[uint64]uint64{}
	for id, a := range k.agents {
		if a.journal != 0 {
			owned[a.journal]++
			k.equal(x.journals[a.journal] != nil, true, "%s: journal %d", id, a.journal)
		}
	}
	for number, j := range x.journals {
		k.equal(number <= x.newest, true, "journal %d counted", number)
		if j.parent != 0 {
			children[j.parent]++
			shared[j.parent] = max(shared[j.parent], j.position)
			if p := x.journals[j.parent]; p == nil {
				k.t.Errorf("journal %d reads journal %d, which is not there", number, j.parent)
			} else {
				k.equal(j.depth, p.depth+1, "depth of journal %d", number)
			}
		}
	}
	for number, j := range x.journals {
		k.equal(owned[number] == 1, j.owned, "journal %d is owned", number)
		k.equal(j.children, children[number], "children of journal %d", number)
		k.equal(j.shared >= shared[number] && (j.shared == 0) == (j.children == 0), true, "journal %d shared below %d, a child reads up to %d", number, j.shared, shared[number])
		var open, bytes uint64
		for id, e := range x.effects[number] {
			k.equal(e.sequence < j.next, true, "sequence of effect %q", id)
			k.equal(x.index[string(e.indexKey(number))], id, "index of effect %q", id)
			delete(x.index, string(e.indexKey(number)))
			key := string(effectKey(number, journalResult, id))
			k.equal(uint64(len(x.results[key])), e.size, "result of effect %q", id)
			k.equal(e.state == hawser.EffectDone || e.size == 0, true, "effect %q has a result and is %v", id, e.state)
			delete(x.results, key)
			k.equal(e.since <= j.last, true, "effect %q ended later than any", id)
			if bytes += e.size; !e.state.Finished() {
				open++
			}
		}
		k.equal([]uint64{j.count, j.open, j.bytes}, []uint64{uint64(len(x.effects[number])), open, bytes}, "journal %d: effects, open, bytes", number)
		delete(x.effects, number)
	}
	k.equal(len(x.effects)+len(x.index)+len(x.results), 0, "effects that nothing leads to: %v %v", x.effects, x.index)
}
