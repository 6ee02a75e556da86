// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"slices"

	"github.com/hawserdb/hawser"
)

// Affected is one agent with versions that rest on a given one.
type Affected struct {
	Agent hawser.AgentID
	// Versions are those of them that are there, ascending.
	Versions []uint64
	// Via is what the first of them rests on.
	Via hawser.VersionRef
}

// Impact lists what was computed from a version, directly or not: by what
// saves named, by rollbacks and forks, and by a chain going on, because a save
// rests on the version before it. It lists at most limit agents (0 for
// hawser.MaxPage), in the order in which they are reached; truncated says that
// there are more.
//
// The version itself may be gone. A version that is gone is taken to have rested
// on the one before it; what else it rested on is forgotten with it, and so is
// what rests on ref only through it. Errors are those of Agent.
func (v *View) Impact(ref hawser.VersionRef, limit int) (affected []Affected, truncated bool, err error) {
	if _, err := v.agent(ref.Agent); err != nil {
		return nil, false, err
	}
	if limit <= 0 {
		limit = hawser.MaxPage
	}
	im := &impact{v: v, limit: limit + 1, agents: make(map[hawser.AgentID]*reached)} // the version's own agent need not count
	im.reach(ref, hawser.VersionRef{})
	for len(im.todo) > 0 {
		r := im.todo[0]
		im.todo = im.todo[1:]
		if err := im.follow(r); err != nil {
			return nil, false, err
		}
	}
	for _, r := range im.order {
		if len(r.there) == 0 {
			continue
		}
		if len(affected) == limit {
			return affected, true, nil
		}
		affected = append(affected, Affected{Agent: r.id, Versions: r.there, Via: r.via})
	}
	return affected, im.truncated, nil
}

// impact gathers what rests on a version.
type impact struct {
	v *View
	// limit is the most agents that are followed; truncated says that there
	// are more.
	limit     int
	truncated bool
	agents    map[hawser.AgentID]*reached
	// order holds the agents as they were reached; todo those to follow, in
	// which something was reached since.
	order, todo []*reached
}

// reached is what was reached of one agent.
type reached struct {
	id hawser.AgentID
	// seeds are the numbers that were reached from elsewhere, and from where;
	// the version that the question is about is reached from nowhere.
	seeds  map[uint64]hawser.VersionRef
	queued bool
	// there are the versions that are there and rest on the one asked for, via
	// what the first of them does.
	there []uint64
	via   hawser.VersionRef
}

// reach notes that a version rests on via.
func (im *impact) reach(ref, via hawser.VersionRef) {
	r, ok := im.agents[ref.Agent]
	if !ok {
		if len(im.order) == im.limit {
			im.truncated = true
			return
		}
		r = &reached{id: ref.Agent, seeds: make(map[uint64]hawser.VersionRef)}
		im.agents[ref.Agent] = r
		im.order = append(im.order, r)
	}
	if _, ok := r.seeds[ref.Number]; ok {
		return
	}
	r.seeds[ref.Number] = via
	if !r.queued {
		r.queued = true
		im.todo = append(im.todo, r)
	}
}

// follow finds what rests on the seeds of r in its chain, and what other
// agents computed from that.
func (im *impact) follow(r *reached) error {
	r.queued, r.there = false, nil
	a, _, err := readAgent(im.v.snap, new([]byte), r.id)
	if err != nil {
		return err
	}
	oldest := ^uint64(0)
	for number := range r.seeds { // the least of them, in whatever order
		oldest = min(oldest, number)
	}
	links, err := im.links(r.id, oldest, a.head)
	if err != nil {
		return err
	}
	line := lineage{numbers: []uint64{oldest}, on: []bool{true}, head: a.head}
	for _, l := range slices.Backward(links) {
		via, hit := r.seeds[l.number]
		if !hit {
			via, hit = hawser.VersionRef{Agent: r.id, Number: l.on}, l.on != 0 && line.at(l.on)
		}
		if l.number > oldest {
			line.numbers, line.on = append(line.numbers, l.number), append(line.on, hit)
		}
		if hit && !via.IsZero() && !l.gone && l.number > a.floor {
			if len(r.there) == 0 {
				r.via = via
			}
			r.there = append(r.there, l.number)
		}
	}
	return im.derived(r.id, line)
}

// link says what a number of a chain rests on in the same chain, 0 for nothing.
type link struct {
	number, on uint64
	gone       bool
}

// links returns those of an agent's numbers from oldest to head, newest first.
func (im *impact) links(id hawser.AgentID, oldest, head uint64) ([]link, error) {
	if oldest > head {
		return nil, nil
	}
	it, err := im.v.snap.Iter(chainKey(nil, id, head), append(chainKey(nil, id, oldest), 0))
	if err != nil {
		return nil, err
	}
	var links []link
	for err == nil && it.Next() {
		var rec *chainRecord
		if rec, err = parseChain(it.Value()); err != nil {
			err = damagedKey("record", id, 0)
			break
		}
		links = append(links, link{rec.number, rec.restsOn(), rec.state == hawser.VersionGone})
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return links, nil
}

// restsOn returns the number of the same chain that c rests on, 0 for none.
func (c *chainRecord) restsOn() uint64 {
	switch c.kind {
	case hawser.RequestRollback:
		if c.state == hawser.VersionGone { // what it repeated is forgotten
			return c.number - 1
		}
		return c.origin.Number
	case hawser.RequestFork, hawser.RequestDelete:
		return 0
	case hawser.RequestSave:
	}
	return c.parent
}

// derived reaches what was computed from versions of an agent.
func (im *impact) derived(id hawser.AgentID, line lineage) error {
	lower := derivedFromKey(nil, hawser.VersionRef{Agent: id, Number: line.numbers[0]})
	upper := keyAfterPrefix(append(agentKey(nil, prefixDerived, id), 0))
	it, err := im.v.snap.Iter(lower, upper)
	if err != nil {
		return err
	}
	for it.Next() {
		source, version, ok := splitDerivedKey(it.Key())
		if !ok {
			return errors.Join(damaged("index of derived versions", errMalformed), it.Close())
		}
		if line.at(source.Number) {
			im.reach(version, source)
		}
	}
	return it.Close()
}

// lineage says which numbers of a chain rest on the version asked for. It
// knows some numbers, ascending; another one up to head is like the one before it.
type lineage struct {
	numbers []uint64
	on      []bool
	head    uint64
}

func (l lineage) at(number uint64) bool {
	i, found := slices.BinarySearch(l.numbers, number)
	if !found {
		i--
	}
	return i >= 0 && l.on[i] && (found || number <= l.head)
}
