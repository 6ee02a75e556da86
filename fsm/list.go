// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"strings"

	"github.com/hawserdb/hawser"
)

// page returns the number of items of a page for the limit that a caller asks.
func page(limit int) int {
	if limit <= 0 {
		return hawser.DefaultPage
	}
	return min(limit, hawser.MaxPage)
}

// Versions lists the versions of an agent that are there, newest first:
// numbers below before, which 0 leaves open, and at most limit of them (0 for
// hawser.DefaultPage, never more than hawser.MaxPage). The last number is the
// next before. A deleted agent is hawser.ErrNotFound.
func (v *View) Versions(id hawser.AgentID, before uint64, limit int) ([]hawser.Version, error) {
	a, err := v.agent(id)
	if err != nil {
		return nil, err
	}
	if a.live == 0 {
		return nil, notFound("agent", id, "it was deleted")
	}
	newest := a.head
	if before != 0 {
		newest = min(newest, before-1)
	}
	oldest := max(a.floor+1, a.oldest)
	if newest < oldest {
		return nil, nil
	}
	limit = page(limit)
	it, err := v.snap.Iter(chainKey(nil, id, newest), append(chainKey(nil, id, oldest), 0))
	if err != nil {
		return nil, err
	}
	var versions []hawser.Version
	for err == nil && len(versions) < limit && it.Next() {
		var rec *chainRecord
		if rec, err = parseChain(it.Value()); err != nil {
			err = damagedKey("record", id, 0)
		} else if rec.state != hawser.VersionGone {
			versions = append(versions, rec.version(id))
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return versions, nil
}

// Agents lists the agents of a namespace that have a live version, in
// ascending order of their names: those after the name after, and at most
// limit of them (0 for hawser.DefaultPage, never more than hawser.MaxPage).
// Prefix holds whole segments: "crew" finds crew and crew/a, not crewman;
// "crew/" finds crew/a only; empty finds all. The last name is the next after.
func (v *View) Agents(namespace, prefix, after string, limit int) ([]hawser.Agent, error) {
	if !validPart(namespace) || prefix != "" && !validPart(prefix) || after != "" && !validPart(after) {
		return nil, invalidCommand("agents", "a name is not valid")
	}
	if v.state.importing {
		return nil, errImporting()
	}
	limit = page(limit)
	var agents []hawser.Agent
	root, below := strings.TrimSuffix(prefix, "/"), ""
	if prefix != "" {
		below = root + "/"
	}
	if prefix != "" && root == prefix && after < root {
		a, err := v.Agent(hawser.AgentID{Namespace: namespace, Name: root})
		switch {
		case err == nil && a.Version != nil:
			agents = append(agents, a)
		case err != nil && !errors.Is(err, hawser.ErrNotFound):
			return nil, err
		}
	}
	return v.agentsBelow(agents, namespace, below, after, limit)
}

// agentsBelow appends the agents whose names start with prefix.
func (v *View) agentsBelow(agents []hawser.Agent, namespace, prefix, after string, limit int) ([]hawser.Agent, error) {
	lower := agentKey(nil, prefixAgent, hawser.AgentID{Namespace: namespace, Name: prefix})
	upper := keyAfterPrefix(lower)
	if after >= prefix && after != "" {
		lower = append(agentKey(nil, prefixAgent, hawser.AgentID{Namespace: namespace, Name: after}), 0)
	}
	if string(lower) >= string(upper) {
		return agents, nil
	}
	it, err := v.snap.Iter(lower, upper)
	if err != nil {
		return nil, err
	}
	for err == nil && len(agents) < limit && it.Next() {
		var a hawser.Agent
		if a, err = v.listed(it.Key(), it.Value()); err == nil {
			agents = append(agents, a)
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return agents, nil
}

func (v *View) listed(key, value []byte) (hawser.Agent, error) {
	id, ok := splitAgentKey(key)
	rec, err := parseAgent(value)
	if !ok || err != nil || rec.live == 0 {
		return hawser.Agent{}, damagedKey("agent", id, 0)
	}
	return v.describe(id, rec)
}

// keyAfterPrefix is the first key after all that start with prefix, which
// ends in a byte below 0xff.
func keyAfterPrefix(prefix []byte) []byte {
	upper := append([]byte{}, prefix...)
	upper[len(upper)-1]++
	return upper
}

// AgentsAfter lists agents that have a version, in the order of their keys,
// over all namespaces: those after the given one, which may be zero, and at
// most limit of them (0 for hawser.DefaultPage, never more than
// hawser.MaxPage).
func (v *View) AgentsAfter(after hawser.AgentID, limit int) ([]hawser.AgentID, error) {
	lower := []byte{prefixAgent}
	if after != (hawser.AgentID{}) {
		lower = append(agentKey(nil, prefixAgent, after), 0)
	}
	it, err := v.snap.Iter(lower, []byte{prefixAgent + 1})
	if err != nil {
		return nil, err
	}
	var ids []hawser.AgentID
	for limit = page(limit); len(ids) < limit && it.Next(); {
		id, ok := splitAgentKey(it.Key())
		if !ok {
			return nil, errors.Join(damaged("agent", errMalformed), it.Close())
		}
		ids = append(ids, id)
	}
	return ids, it.Close()
}

// Garbage lists agents with deleted versions that no Reclaim has freed yet,
// at most limit (0 for hawser.DefaultPage, never more than hawser.MaxPage).
// The leader proposes a [Reclaim] for each.
func (m *Machine) Garbage(limit int) ([]hawser.AgentID, error) {
	v, err := m.View()
	if err != nil {
		return nil, err
	}
	ids, err := v.garbage(page(limit))
	return ids, errors.Join(err, v.Close())
}

func (v *View) garbage(limit int) ([]hawser.AgentID, error) {
	it, err := v.snap.Iter([]byte{prefixGarbage}, []byte{prefixGarbage + 1})
	if err != nil {
		return nil, err
	}
	var ids []hawser.AgentID
	for len(ids) < limit && it.Next() {
		id, ok := splitAgentKey(it.Key())
		if !ok {
			return nil, errors.Join(damaged("garbage marker", errMalformed), it.Close())
		}
		ids = append(ids, id)
	}
	return ids, it.Close()
}
