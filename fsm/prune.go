// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Rules frozen at the feature level that set them.
const (
	// maxPrune is the most numbers of one [Prune].
	maxPrune = 512
	// maxPins is the most pinned versions of an agent.
	maxPins = hawser.MaxPins
)

// apply removes versions that retention does not keep.
func (p *Prune) apply(c *changes) (Result, error) {
	if err := p.check(); err != nil {
		return c.refuse(err)
	}
	if p.Stamp != c.state.retention {
		return c.refuse(&hawser.Error{Code: hawser.CodeRefused, Op: "prune", Key: p.Agent.String(), Msg: "a retention policy has changed, or a version turned out to be bad"})
	}
	a, err := c.agent(p.Agent)
	if err != nil {
		return Result{}, err
	}
	if a.live == 0 {
		return c.refuse(notFound("prune", p.Agent, "there is no such agent"))
	}
	before := a.versions
	var gone []uint64
	for _, r := range p.Ranges {
		if r.To = min(r.To, a.head); r.From <= r.To {
			if gone, err = c.prune(a, r.From, r.To, gone); err != nil {
				return Result{}, err
			}
		}
	}
	if a.versions != before {
		c.revise()
		c.prunedEvents(p.Agent, gone)
	}
	res := c.result()
	res.Pruned = before - a.versions
	return res, nil
}

func (p *Prune) check() error {
	if !validAgent(p.Agent) {
		return invalidCommand("prune", "the agent's name is not valid")
	}
	last, count := uint64(0), uint64(0)
	for _, r := range p.Ranges {
		if r.From <= last || r.To < r.From {
			return invalidCommand("prune", "its ranges are not ascending")
		}
		last = r.To
		if count += r.To - r.From + 1; count > maxPrune {
			return invalidCommand("prune", fmt.Sprintf("more than %d numbers", maxPrune))
		}
	}
	return nil
}

// prune removes versions, and appends the numbers of those that went to gone.
func (c *changes) prune(a *agent, from, to uint64, gone []uint64) ([]uint64, error) {
	recs, err := c.records(a.id, from, to)
	if err != nil {
		return nil, err
	}
	for i, rec := range recs {
		number := from + uint64(i)
		there := rec != nil && number > a.floor && rec.state != hawser.VersionGone
		if there && rec.holds() == 0 && number != a.live {
			a.versions--
			a.stored -= rec.stored
			if number+window > a.head {
				a.stubs = max(a.stubs, number)
			}
			if err := c.dropVersion(a, rec); err != nil {
				return nil, err
			}
			there = false
			gone = append(gone, number)
		}
		if !there && number == a.oldest {
			a.oldest++
		}
		a.changed = true
	}
	return gone, nil
}

// apply pins a version, or ends that.
func (p *Pin) apply(c *changes) (Result, error) {
	if !validAgent(p.Agent) || p.Number == 0 {
		return c.refuse(invalidCommand("pin", "it names no version"))
	}
	rec, refusal, err := c.version(p.Agent, p.Number)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	if rec.pinned == p.Pinned {
		return c.described(p.Agent, rec), nil
	}
	a, err := c.agent(p.Agent)
	if err != nil {
		return Result{}, err
	}
	if p.Pinned && a.pins >= maxPins {
		return c.refuse(&hawser.Error{
			Code: hawser.CodeRefused, Op: "pin", Key: p.Agent.String(), Msg: fmt.Sprintf("%d versions of the agent are pinned already", maxPins),
		})
	}
	if p.Pinned {
		a.pins++
	} else {
		a.pins--
	}
	a.changed = true
	changed := *rec
	changed.pinned = p.Pinned
	c.putRecord(p.Agent, &changed)
	c.revise()
	return c.described(p.Agent, &changed), nil
}

// apply marks a version that cannot be rebuilt.
func (m *MarkBad) apply(c *changes) (Result, error) {
	if !validAgent(m.Agent) || m.Number == 0 {
		return c.refuse(invalidCommand("mark bad", "it names no version"))
	}
	rec, refusal, err := c.version(m.Agent, m.Number)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	if rec.sha != m.SHA256 {
		return c.refuse(&hawser.Error{
			Code: hawser.CodeRefused, Op: "mark bad", Key: fmt.Sprintf("%s@%d", m.Agent, m.Number), Msg: "it has another hash",
		})
	}
	if rec.state == hawser.VersionBad {
		return c.described(m.Agent, rec), nil
	}
	changed := *rec
	changed.state = hawser.VersionBad
	c.putRecord(m.Agent, &changed)
	c.revise()
	// What is to be pruned may be all that can be restored now.
	c.state.retention = c.state.revision
	c.emit(hawser.Event{Kind: hawser.EventVersionBad, Name: m.Agent, Number: m.Number})
	return c.described(m.Agent, &changed), nil
}

// described is the result of a command that changed what is known of a version.
func (c *changes) described(id hawser.AgentID, rec *chainRecord) Result {
	res := c.result()
	res.Version = rec.version(id)
	return res
}

// apply puts a keyframe in the place of a delta. It changes no version, so
// there is no revision.
func (r *Replace) apply(c *changes) (Result, error) {
	if r.Content.Kind != record.Keyframe || r.Content.Encoding != record.Raw && r.Content.Encoding != record.Zstd {
		return c.refuse(invalidCommand("replace", "the content is not a keyframe"))
	}
	s, err := c.segment(r.Segment)
	if err != nil {
		return Result{}, err
	}
	if err := r.allowed(s); err != nil {
		return c.refuse(err)
	}
	content, refusal, err := c.staged(r.Content)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	return c.result(), c.replace(s, r.Position, content)
}

// allowed reports why s, which may be nil, cannot be changed so.
func (r *Replace) allowed(s *segment) error {
	refused := func(msg string) error {
		return &hawser.Error{Code: hawser.CodeRefused, Op: "replace", Key: fmt.Sprintf("segment %d, position %d", r.Segment, r.Position), Msg: msg}
	}
	switch {
	case s == nil:
		return refused("there is no such segment")
	case s.stamp != r.Stamp:
		return refused("it has changed meanwhile")
	case s.entry(r.Position) == nil || s.entry(r.Position).refs == 0:
		return refused("nothing refers to it")
	case r.Position == s.first && s.parent.segment == 0:
		return refused("it is a keyframe already")
	}
	for _, e := range s.entries[:r.Position-s.first] {
		if e.refs != 0 {
			return refused("something before it is in use")
		}
	}
	return nil
}

func (c *changes) replace(s *segment, position uint32, content stored) error {
	refs := s.entry(position).refs
	for p := s.first; p <= position; p++ {
		c.dropContent(place{s.number, p}, s.entry(p))
	}
	s.entries = s.entries[position-s.first:]
	s.entries[0] = content.entry()
	s.entries[0].refs = refs
	c.putContent(place{s.number, position}, content)
	parent := s.parent
	s.first, s.parent, s.base, s.changed = position, place{}, record.Chain{}, true
	s.stamp++
	return c.release(parent)
}
