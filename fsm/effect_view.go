// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
)

// effectsOf returns the journals that an agent reads, seen from a version.
func (v *View) effectsOf(agent hawser.AgentID, number uint64) ([]journalLink, error) {
	if !validAgent(agent) {
		return nil, invalidCommand("effects", "the agent's name is not valid")
	}
	a, err := v.known(agent)
	if err != nil {
		return nil, err
	}
	return journalsOf(v, a.journal, number)
}

// Effect describes an effect of an agent, with its result. One that nobody has
// begun, or that was forgotten, is hawser.ErrNotFound.
func (v *View) Effect(agent hawser.AgentID, id string) (hawser.Effect, error) {
	links, err := v.effectsOf(agent, 0)
	if err != nil {
		return hawser.Effect{}, err
	}
	if !validEffect(id) {
		return hawser.Effect{}, invalidCommand("effect", "its id is not valid")
	}
	e, depth, err := find(v, links, id)
	if err != nil {
		return hawser.Effect{}, err
	}
	if e == nil {
		return hawser.Effect{}, unknownEffect("effect", agent, id)
	}
	info := e.info(agent, id, depth > 0)
	info.Result, err = readResult(v, links[depth].number, id, e)
	return info, err
}

// Effects lists the effects of an agent in the order of their ids, without
// results: those after one, and at most limit of them (0 for hawser.DefaultPage,
// never more than hawser.MaxPage).
func (v *View) Effects(agent hawser.AgentID, after string, limit int) ([]hawser.Effect, error) {
	links, err := v.effectsOf(agent, 0)
	if err != nil {
		return nil, err
	}
	limit = page(limit)
	var found []hawser.Effect
	for depth, l := range links {
		n := 0
		lower := effectKey(l.number, journalEffect, after)
		if after != "" {
			lower = append(lower, 0)
		}
		err := v.scan(lower, keyAfter(effectKey(l.number, journalEffect, "")), func(key, value []byte) (bool, error) {
			id := string(key[len(journalKey(0))+1:])
			e, err := parseEffect(value)
			if err != nil {
				return false, damaged("effect "+id, err)
			}
			if visible, err := v.sees(links[:depth], l, id, e); err != nil || !visible {
				return true, err
			}
			found = append(found, e.info(agent, id, depth > 0))
			n++
			return n < limit, nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b hawser.Effect) int { return strings.Compare(a.ID, b.ID) })
	return found[:min(limit, len(found))], nil
}

// sees reports whether an effect of a journal counts for an agent that reads
// nearer ones first.
func (v *View) sees(nearer []journalLink, l journalLink, id string, e *effectRecord) (bool, error) {
	if e.sequence >= l.below {
		return false, nil
	}
	other, _, err := find(v, nearer, id)
	return other == nil, err
}

// EffectsAt yields what somebody who restores a version has to know of the
// agent's effects: those that are open or to be run again, and those that ended
// and that the version does not reflect. Results are there until they exceed
// hawser.MaxEffectResults together.
func (v *View) EffectsAt(agent hawser.AgentID, number uint64, yield func(hawser.Effect) error) error {
	links, err := v.effectsOf(agent, number)
	if err != nil {
		return err
	}
	left := int64(maxEffectResults)
	for depth, l := range links {
		one := func(_, value []byte) (bool, error) {
			id := string(value)
			e, err := readEffect(v, l.number, id)
			if err != nil {
				return false, err
			}
			if e == nil {
				return false, damaged("effect "+id, errMalformed)
			}
			if visible, err := v.sees(links[:depth], l, id, e); err != nil || !visible {
				return true, err
			}
			info := e.info(agent, id, depth > 0)
			if left -= info.ResultSize; left >= 0 {
				if info.Result, err = readResult(v, l.number, id, e); err != nil {
					return false, err
				}
			}
			return true, yield(info)
		}
		open := append(journalKey(l.number), journalOpen)
		if err := v.scan(open, keyAfter(open), one); err != nil {
			return err
		}
		lower := uint64(0)
		if len(l.rewinds) == 0 {
			lower = l.at + 1 // whatever ended before is reflected
		}
		ended := append(journalKey(l.number), journalEnded)
		err := v.scan(endedKey(l.number, lower), keyAfter(ended), func(key, value []byte) (bool, error) {
			if l.reflects(l.at, binary.BigEndian.Uint64(key[len(key)-16:])) {
				return true, nil
			}
			return one(key, value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
