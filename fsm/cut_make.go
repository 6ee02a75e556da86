// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
)

// apply makes a cut. What is checked, in this order: form, generation, repeat,
// limits, that the agents have versions.
func (m *MakeCut) apply(c *changes) (Result, error) {
	if err := m.check(); err != nil {
		return c.refuse(err)
	}
	if g := m.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("cut", m.Name.String(), g, c.state.generation))
	}
	digest := hawser.Hash(sha256.Sum256(appendBytes(m.appendSelection(nil), m.Label)))
	k, err := c.cut(m.Name)
	switch {
	case err != nil:
		return Result{}, err
	case k != nil && k.digest != digest:
		return c.refuse(cutError(hawser.CodeRequestMismatch, "cut", m.Name,
			"there is one of that name, made at %s of other agents or with another label", unix(k.created).Format("2006-01-02 15:04:05Z")))
	case k != nil:
		res := c.cutResult(k)
		res.Repeated, res.Revision = true, hawser.Revision(k.revision)
		return res, nil
	}
	if n, err := c.cuts(m.Name.Namespace); err != nil || n >= maxCuts {
		res, _ := c.refuse(cutError(hawser.CodeRefused, "cut", m.Name, "the namespace has %d cuts, which is all that it may have; delete some", n))
		return res, err
	}
	agents, refusal, err := c.cutAgents(m)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	return c.makeCut(&cutRecord{name: m.Name, digest: digest, label: m.Label, byPrefix: m.ByPrefix, prefix: m.Prefix}, agents)
}

// check refuses what no node proposes.
func (m *MakeCut) check() error {
	refused := func(code hawser.Code, msg string) error { return &hawser.Error{Code: code, Op: "cut", Msg: msg} }
	switch {
	case !validAgent(m.Name):
		return refused(hawser.CodeInvalid, "its name is not valid")
	case len(m.Label) > maxCutLabel:
		return refused(hawser.CodeInvalid, "its label is too long")
	case m.ByPrefix && (len(m.Agents) > 0 || m.Prefix != "" && !validPart(m.Prefix)):
		return refused(hawser.CodeInvalid, "its prefix is not valid, or it names agents too")
	case !m.ByPrefix && (len(m.Agents) == 0 || m.Prefix != ""):
		return refused(hawser.CodeInvalid, "it names no agents")
	case len(m.Agents) > maxCutAgents:
		return refused(hawser.CodeTooLarge, fmt.Sprintf("it has %d agents, %d are possible", len(m.Agents), maxCutAgents))
	}
	for i, name := range m.Agents {
		if !validPart(name) || i > 0 && name <= m.Agents[i-1] {
			return refused(hawser.CodeInvalid, "the names of its agents are not valid, or not ascending")
		}
	}
	return nil
}

// cutAgents returns the agents of a cut, or why it cannot be made.
func (c *changes) cutAgents(m *MakeCut) (agents []*agent, refusal, err error) {
	names := m.Agents
	if m.ByPrefix {
		if names, err = c.liveBelow(m.Name.Namespace, m.Prefix, maxCutAgents+1); err != nil {
			return nil, nil, err
		}
	}
	var missing []string
	for _, name := range names {
		a, err := c.agent(hawser.AgentID{Namespace: m.Name.Namespace, Name: name})
		if err != nil {
			return nil, nil, err
		}
		if a.live == 0 {
			missing = append(missing, fmt.Sprintf("%q", name))
		}
		agents = append(agents, a)
	}
	switch {
	case len(missing) > 0:
		return nil, cutError(hawser.CodeNotFound, "cut", m.Name, "without a version: %s", enumerate(missing)), nil
	case len(agents) == 0:
		return nil, cutError(hawser.CodeNotFound, "cut", m.Name, "no agent under the prefix %q has a version", m.Prefix), nil
	case len(agents) > maxCutAgents:
		return nil, cutError(hawser.CodeTooLarge, "cut", m.Name, "more than %d agents under the prefix %q have a version", maxCutAgents, m.Prefix), nil
	}
	return agents, nil, nil
}

// liveBelow returns the first names under a prefix of agents that have a
// version as the batch has left them so far, limit of them at most.
func (c *changes) liveBelow(namespace, prefix string, limit int) ([]string, error) {
	root, below := strings.TrimSuffix(prefix, "/"), ""
	if prefix != "" {
		below = root + "/"
	}
	found := map[string]bool{}
	for _, a := range c.order { // what the batch has made may not be stored yet
		if a.id.Namespace == namespace && a.live != 0 && (strings.HasPrefix(a.id.Name, below) || a.id.Name == prefix) {
			found[a.id.Name] = true
		}
	}
	if root == prefix && prefix != "" {
		a, err := c.agent(hawser.AgentID{Namespace: namespace, Name: prefix})
		if err != nil {
			return nil, err
		}
		if a.live != 0 {
			found[prefix] = true
		}
	}
	lower := agentKey(nil, prefixAgent, hawser.AgentID{Namespace: namespace, Name: below})
	it, err := c.src.Iter(lower, keyAfterPrefix(lower))
	if err != nil {
		return nil, err
	}
	for stored := 0; err == nil && stored < limit && it.Next(); {
		id, ok := splitAgentKey(it.Key())
		if !ok {
			err = damaged("agent", errMalformed)
			break
		}
		var a *agent
		if a, err = c.agent(id); err == nil && a.live != 0 { // else the batch has deleted it
			found[id.Name] = true
			stored++
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(found))
	return names[:min(len(names), limit)], nil
}

// makeCut records the heads of agents, none of which retention removes from now
// on.
func (c *changes) makeCut(k *cutRecord, agents []*agent) (Result, error) {
	heads := make([]*chainRecord, len(agents))
	var bad []string
	for i, a := range agents {
		rec, err := c.record(a.id, a.live)
		switch {
		case err != nil:
			return Result{}, err
		case rec == nil:
			return Result{}, damagedKey("record", a.id, a.live)
		case rec.state == hawser.VersionBad:
			bad = append(bad, fmt.Sprintf("version %d of %q", rec.number, a.id.Name))
		}
		heads[i] = rec
	}
	if len(bad) > 0 {
		return c.refuse(cutError(hawser.CodeCorrupt, "cut", k.name, "marked bad, and nothing to return to: %s; roll these agents back first", enumerate(bad)))
	}
	c.revise()
	k.created, k.revision = c.state.time, c.state.revision
	for i, a := range agents {
		k.agents = append(k.agents, cutAgent{a.id.Name, a.live})
		c.holdVersion(a.id, heads[i], 1)
	}
	c.put(cutKey(k.name), k.encode())
	if err := c.countCut(k.name.Namespace, 1); err != nil {
		return Result{}, err
	}
	c.emit(hawser.Event{Kind: hawser.EventCutMade, Name: k.name, Number: uint64(len(k.agents)), Reason: k.label})
	return c.cutResult(k), nil
}

// holdVersion changes the number of cuts that a version is in.
func (c *changes) holdVersion(id hawser.AgentID, rec *chainRecord, by int) {
	changed := *rec
	changed.cuts += uint64(by)
	c.putRecord(id, &changed)
}

// cutResult is the result of a command that concerns a cut, with its agents as
// they were when it was made.
func (c *changes) cutResult(k *cutRecord) Result {
	res := c.result()
	cut := k.info()
	for i := range k.agents {
		cut.Agents = append(cut.Agents, hawser.CutAgent{Agent: k.agent(i), Number: k.agents[i].number})
	}
	res.Cut = &cut
	return res
}

// apply deletes a cut. What is checked, in this order: form, generation, that
// it is there.
func (d *DeleteCut) apply(c *changes) (Result, error) {
	if !validAgent(d.Cut) {
		return c.refuse(invalidCommand("delete cut", "its name is not valid"))
	}
	if g := d.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("delete cut", d.Cut.String(), g, c.state.generation))
	}
	k, err := c.cut(d.Cut)
	if err != nil || k == nil || k.revision != d.Revision {
		return c.result(), err
	}
	c.revise()
	for i, of := range k.agents {
		a, err := c.agent(k.agent(i))
		if err != nil {
			return Result{}, err
		}
		if of.number <= a.floor { // it went with its agent
			continue
		}
		rec, err := c.record(a.id, of.number)
		if err != nil {
			return Result{}, err
		}
		if rec == nil || rec.cuts == 0 {
			return Result{}, damagedKey("record", a.id, of.number)
		}
		c.holdVersion(a.id, rec, -1)
	}
	c.drop(cutKey(k.name))
	res := c.result()
	res.Released = true
	return res, c.countCut(k.name.Namespace, -1)
}

// enumerate joins what is said of several agents, up to about 2 KiB of it.
func enumerate(items []string) string {
	size := 0
	for i, item := range items {
		if size += len(item); size > 2<<10 && i > 0 {
			return fmt.Sprintf("%s and %d more", strings.Join(items[:i], ", "), len(items)-i)
		}
	}
	return strings.Join(items, ", ")
}
