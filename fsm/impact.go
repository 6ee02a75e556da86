// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"context"
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

// maxImpactReads is how many records and references one [View.Impact] reads.
const maxImpactReads = 200_000

// Impact lists what was computed from a version, directly or not: by what
// saves named, by rollbacks and forks, and by a chain going on, because a save
// rests on the version before it. It lists at most limit agents (0 for
// hawser.MaxPage), in the order in which they are reached, and it reads at most
// 200,000 records and references; truncated says that there may be more agents,
// and more versions of those listed.
//
// The version itself may be gone. A version that is gone is taken to have rested
// on the one before it; what else it rested on is forgotten with it, and so is
// what rests on ref only through it. Errors are those of Agent and of ctx.
func (v *View) Impact(ctx context.Context, ref hawser.VersionRef, limit int) (affected []Affected, truncated bool, err error) {
	return v.impact(ctx, ref, limit, maxImpactReads)
}

func (v *View) impact(ctx context.Context, ref hawser.VersionRef, limit, reads int) (affected []Affected, truncated bool, err error) {
	if _, err := v.agent(ref.Agent); err != nil {
		return nil, false, err
	}
	if limit <= 0 {
		limit = hawser.MaxPage
	}
	im := &impact{v: v, left: reads, limit: limit + 1, agents: make(map[hawser.AgentID]*reached)} // the version's own agent need not count
	im.reach(ref, hawser.VersionRef{})
	for len(im.todo) > 0 && im.left > 0 {
		r := im.todo[0]
		im.todo = im.todo[1:]
		if err := im.follow(ctx, r); err != nil {
			return nil, false, err
		}
	}
	im.truncated = im.truncated || len(im.todo) > 0
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
	// left is how many records and references may yet be read.
	left int
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
func (im *impact) follow(ctx context.Context, r *reached) error {
	r.queued, r.there = false, nil
	a, _, err := readAgent(im.v.snap, new([]byte), r.id)
	if err != nil {
		return err
	}
	oldest := ^uint64(0)
	for number := range r.seeds { // the least of them, in whatever order
		oldest = min(oldest, number)
	}
	line := lineage{numbers: []uint64{oldest}, on: []bool{true}, head: a.head}
	take := func(l link) (bool, error) {
		if !im.read() {
			line.head = l.number - 1
			return false, nil
		}
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
		return true, nil
	}
	load := func(dst []link, from, to uint64) ([]link, error) { return im.links(ctx, dst, r.id, from, to) }
	if err := ascend(oldest, a.head, maxLinks, load, take); err != nil {
		return err
	}
	return im.derived(ctx, r.id, line)
}

// read counts one read, and reports whether there may be one.
func (im *impact) read() bool {
	if im.left == 0 {
		im.truncated = true
		return false
	}
	im.left--
	return true
}

// maxLinks is the most links that are held to look at the oldest first.
const maxLinks = 1 << 10

// link says what a number of a chain rests on in the same chain, 0 for nothing.
type link struct {
	number, on uint64
	gone       bool
}

// links appends those of an agent's numbers from oldest to head, newest first,
// and stops after more than maxLinks.
func (im *impact) links(ctx context.Context, dst []link, id hawser.AgentID, oldest, head uint64) ([]link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	it, err := im.v.snap.Iter(chainKey(nil, id, head), append(chainKey(nil, id, oldest), 0))
	if err != nil {
		return nil, err
	}
	for err == nil && len(dst) <= maxLinks && it.Next() {
		var rec *chainRecord
		if rec, err = parseChain(it.Value()); err != nil {
			err = damagedKey("record", id, 0)
			break
		}
		dst = append(dst, link{rec.number, rec.restsOn(), rec.state == hawser.VersionGone})
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return dst, nil
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
	case hawser.RequestSave, hawser.RequestTxn, hawser.RequestCutRollback:
	}
	return c.parent
}

// derived reaches what was computed from versions of an agent.
func (im *impact) derived(ctx context.Context, id hawser.AgentID, line lineage) error {
	lower := derivedFromKey(nil, hawser.VersionRef{Agent: id, Number: line.numbers[0]})
	upper := keyAfterPrefix(append(agentKey(nil, prefixDerived, id), 0))
	it, err := im.v.snap.Iter(lower, upper)
	if err != nil {
		return err
	}
	for it.Next() && im.read() {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
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
