// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import "github.com/hawserdb/hawser"

func (v *View) cut(name hawser.AgentID) (*cutRecord, error) {
	if !validAgent(name) {
		return nil, invalidCommand("cut", "its name is not valid")
	}
	if v.state.importing {
		return nil, errImporting()
	}
	value, ok, err := v.snap.Get(cutKey(name))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, unknownCut("cut", name)
	}
	return namedCut(name, value)
}

// reading is the state of the view as commands see it. Nothing of it may change
// anything.
func (v *View) reading() *changes {
	c := newChanges(v.snap, nil, v.state, v.m.opts.MaxLevel)
	c.before = v.state.revision
	return c
}

// Cut describes a cut with its agents, and which of them cannot be restored any
// more.
func (v *View) Cut(name hawser.AgentID) (hawser.Cut, error) {
	k, err := v.cut(name)
	if err != nil {
		return hawser.Cut{}, err
	}
	cut, c := k.info(), v.reading()
	for i := range k.agents {
		of := hawser.CutAgent{Agent: k.agent(i), Number: k.agents[i].number}
		a, err := c.agent(of.Agent)
		if err == nil {
			of.Problem, err = c.cutProblem(a, of.Number)
		}
		if err != nil {
			return hawser.Cut{}, err
		}
		cut.Agents = append(cut.Agents, of)
	}
	return cut, nil
}

// Cuts lists the cuts of a namespace in the order of their names, without their
// agents: those after one, and at most limit of them (0 for hawser.DefaultPage,
// never more than hawser.MaxPage).
func (v *View) Cuts(namespace, after string, limit int) ([]hawser.Cut, error) {
	if !validPart(namespace) || after != "" && !validPart(after) {
		return nil, invalidCommand("cuts", "a name is not valid")
	}
	if v.state.importing {
		return nil, errImporting()
	}
	limit = page(limit)
	lower := cutKey(hawser.AgentID{Namespace: namespace})
	upper := keyAfterPrefix(lower)
	if after != "" {
		lower = append(cutKey(hawser.AgentID{Namespace: namespace, Name: after}), 0)
	}
	var cuts []hawser.Cut
	err := v.scan(lower, upper, func(key, value []byte) (bool, error) {
		id, ok := splitAgentKey(key)
		if !ok {
			return false, damaged("cut", errMalformed)
		}
		k, err := namedCut(id, value)
		if err != nil {
			return false, err
		}
		cuts = append(cuts, k.info())
		return len(cuts) < limit, nil
	})
	return cuts, err
}

// CutPlan tells what a rollback to a cut would do at the view's moment, and, in
// Problem, why it would be refused for another reason than the problems of
// agents.
func (v *View) CutPlan(name hawser.AgentID) (hawser.RollbackReport, error) {
	k, err := v.cut(name)
	if err != nil {
		return hawser.RollbackReport{}, err
	}
	c := v.reading()
	p, err := c.planCut(k)
	if err != nil {
		return hawser.RollbackReport{}, err
	}
	r := c.report(k, p)
	r.DryRun = true
	for i := range r.Agents {
		if r.Agents[i].Problem == "" && r.Agents[i].Epoch > 0 {
			r.Agents[i].Epoch++
		}
	}
	if refusal := p.tooMuch(name); refusal != nil {
		r.Problem = refusal.Error()
	}
	return *r, nil
}
