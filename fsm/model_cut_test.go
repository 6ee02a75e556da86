// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// modelCut is what a cut should be.
type modelCut struct {
	asked    string
	revision uint64
	names    []string
	numbers  []uint64
	backs    []modelBack
}

type modelBack struct {
	nonce    hawser.Nonce
	leaveOut bool
	made     []uint64
}

func (g *generator) several() fsm.Command {
	name := agentID([]string{"one", "two", "three"}[g.rng.IntN(3)])
	k := g.model.cuts[name]
	if k == nil || g.rng.IntN(8) == 0 {
		m := &fsm.MakeCut{Name: name, ByPrefix: g.rng.IntN(2) == 0}
		if m.ByPrefix {
			m.Prefix = []string{"", "a", "crew", "crew/"}[g.rng.IntN(4)]
			return m
		}
		for range 1 + g.rng.IntN(3) {
			m.Agents = append(m.Agents, g.name().Name)
		}
		slices.Sort(m.Agents)
		m.Agents = slices.Compact(m.Agents)
		return m
	}
	if g.rng.IntN(5) == 0 {
		return &fsm.DeleteCut{Cut: name, Revision: k.revision - uint64(g.rng.IntN(8)/7)}
	}
	q := &fsm.RollbackCut{Cut: name, Revision: k.revision, LeaveOut: g.rng.IntN(2) == 0, Instance: "roller"}
	q.Request = fsm.Request{Nonce: nonce(fmt.Sprint(g.rng.Uint64())), Generation: g.model.generation, Seen: uint64(len(k.backs))}
	if g.rng.IntN(10) == 0 {
		q.Request.Seen = g.rng.Uint64N(uint64(len(k.backs)) + 2)
	}
	return q
}

// saveAll saves up to three agents at once, whole.
func (g *generator) saveAll() fsm.Command {
	all := &fsm.SaveAll{}
	for _, name := range []string{"a", "b", "crew/x"}[g.rng.IntN(2):] {
		id := agentID(name)
		a := g.model.agent(id)
		q := fsm.Request{Nonce: nonce(fmt.Sprint(g.rng.Uint64())), Seen: a.head(), Generation: g.model.generation}
		expect := a.live + uint64(g.rng.IntN(12)/11)
		commands := g.save(id, a, q, &expect, "")
		s := commands[len(commands)-1].(*fsm.Save)
		if s.Content.Parts > 0 {
			continue
		}
		all.Saves = append(all.Saves, s)
	}
	return all
}

// several does what a command about several agents should.
func (m *model) several(c fsm.Command, res fsm.Result, states map[hawser.Hash][]byte) (code hawser.Code, repeated bool) {
	m.t.Helper()
	before := m.revision
	if m.cuts == nil {
		m.cuts = map[hawser.AgentID]*modelCut{}
	}
	switch c := c.(type) {
	case *fsm.MakeCut:
		code, repeated = m.makeCut(c)
	case *fsm.DeleteCut:
		k := m.cuts[c.Cut]
		if there := k != nil && k.revision == c.Revision; there != res.Released {
			m.t.Fatalf("%+v: deleted %t", c, res.Released)
		} else if there {
			delete(m.cuts, c.Cut)
			m.revision++
		}
	case *fsm.RollbackCut:
		code, repeated = m.rollBack(c, res)
	case *fsm.SaveAll:
		code, repeated = m.saveAll(c, res, states)
	}
	if m.revision > before {
		m.revision = before + 1 // all at one
	}
	return code, repeated
}

func (m *model) makeCut(c *fsm.MakeCut) (hawser.Code, bool) {
	asked := fmt.Sprint(c.Agents, c.ByPrefix, c.Prefix)
	if k := m.cuts[c.Name]; k != nil && k.asked != asked {
		return hawser.CodeRequestMismatch, false
	} else if k != nil {
		return hawser.CodeOK, true
	}
	k := &modelCut{asked: asked, revision: m.revision + 1, names: c.Agents}
	if c.ByPrefix {
		for id, a := range m.agents {
			root := strings.TrimSuffix(c.Prefix, "/")
			if a.live != 0 && (c.Prefix == "" || id.Name == c.Prefix || strings.HasPrefix(id.Name, root+"/")) {
				k.names = append(k.names, id.Name)
			}
		}
		slices.Sort(k.names)
	}
	code := hawser.CodeOK
	for _, name := range k.names {
		a := m.agent(agentID(name))
		if a.live == 0 {
			return hawser.CodeNotFound, false
		}
		if a.numbers[a.live-1].bad {
			code = hawser.CodeCorrupt
		}
		k.numbers = append(k.numbers, a.live)
	}
	if len(k.names) == 0 {
		return hawser.CodeNotFound, false
	}
	if code == hawser.CodeOK {
		m.cuts[c.Name] = k
		m.revision++
	}
	return code, false
}

// inCut reports whether a version is in a cut.
func (m *model) inCut(id hawser.AgentID, number uint64) bool {
	for _, k := range m.cuts {
		if i := slices.Index(k.names, id.Name); i >= 0 && k.numbers[i] == number {
			return true
		}
	}
	return false
}

func (m *model) rollBack(c *fsm.RollbackCut, res fsm.Result) (hawser.Code, bool) {
	k := m.cuts[c.Cut]
	switch {
	case c.Request.Generation != 0 && c.Request.Generation != m.generation:
		return hawser.CodeWrongGeneration, false
	case k == nil || k.revision != c.Revision:
		return hawser.CodeNotFound, false
	}
	for i, back := range k.backs {
		if i+16 < len(k.backs) || back.nonce != c.Request.Nonce {
			continue
		}
		if back.leaveOut != c.LeaveOut {
			return hawser.CodeRequestMismatch, false
		}
		m.made(res, back.made)
		return hawser.CodeOK, true
	}
	switch n := uint64(len(k.backs)); {
	case c.Request.Seen > n:
		return hawser.CodeInvalid, false
	case n-c.Request.Seen > 16:
		return hawser.CodeRequestExpired, false
	}
	back, possible := modelBack{nonce: c.Request.Nonce, leaveOut: c.LeaveOut, made: make([]uint64, len(k.names))}, 0
	for i, name := range k.names {
		if v, _ := m.agent(agentID(name)).restorable(k.numbers[i]); v != nil {
			possible++
		}
	}
	if possible == 0 || possible < len(k.names) && !c.LeaveOut {
		return hawser.CodeRefused, false
	}
	before := m.revision
	for i, name := range k.names {
		id := agentID(name)
		a := m.agent(id)
		if v, _ := a.restorable(k.numbers[i]); v == nil {
			continue
		}
		for _, t := range m.queue(id) {
			m.abort(t)
			t.decided = before + 1
		}
		if m.resource(claim(id)).live() == nil && a.epoch > 0 {
			a.epoch++
		}
		m.force(id, true)
		_, back.made[i] = m.copy(id, id, k.numbers[i], modelNumber{kind: hawser.RequestRollback, nonce: c.Request.Nonce})
	}
	k.backs = append(k.backs, back)
	m.made(res, back.made)
	return hawser.CodeOK, false
}

// made compares what a rollback says that it made.
func (m *model) made(res fsm.Result, want []uint64) {
	m.t.Helper()
	var got []uint64
	if res.Rollback != nil {
		for _, a := range res.Rollback.Agents {
			got = append(got, a.Made)
		}
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("a rollback made %v (%v), expected %v", got, res.Err, want)
	}
}

func (m *model) saveAll(c *fsm.SaveAll, res fsm.Result, states map[hawser.Hash][]byte) (hawser.Code, bool) {
	got := hawser.CodeOf(res.Err)
	if len(c.Saves) == 0 {
		return hawser.CodeInvalid, false
	}
	code, repeats := hawser.CodeOK, 0
	for _, s := range c.Saves {
		found, number, decided := m.answered(s.Agent, hawser.RequestSave, s.Request, m.fence(s.Agent, s.Fence, s.Force), s.Expect, &s.SHA256)
		switch {
		case decided && found == hawser.CodeOK && number != 0:
			repeats++
		case decided || found != hawser.CodeOK:
			if code == hawser.CodeOK || found == hawser.CodeRequestExpired {
				code = found
			}
		}
	}
	switch {
	case repeats == len(c.Saves):
		return hawser.CodeOK, true
	case repeats > 0 && code != hawser.CodeRequestExpired:
		return hawser.CodeRequestMismatch, false
	case code != hawser.CodeOK || got == hawser.CodeKeyframeNeeded:
		if code == hawser.CodeOK {
			code = got // no model of chains
		}
		return code, false
	}
	for i, s := range c.Saves {
		if code, number := m.save(s, hawser.CodeOK, states); code != hawser.CodeOK || i >= len(res.Saves) || res.Saves[i].Number != number {
			m.t.Fatalf("save %d of %+v: %s, number %d: %+v", i, c, code, number, res)
		}
		m.force(s.Agent, s.Force)
	}
	return hawser.CodeOK, false
}
