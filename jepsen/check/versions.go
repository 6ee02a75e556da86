// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Chain is what a node has of an agent at the end: its versions in the order of
// their numbers, which begin at 1.
type Chain []Version

// Version is what is known of one. The zero value stands for one that is missing.
type Version struct {
	// Value is what was saved, or stands for content that nobody has.
	Value           string
	Revision, Epoch uint64
	// Txn is the transaction that made it, "" for none.
	Txn string
}

// Final is what the nodes have at the end, by node and agent.
type Final map[string]map[string]Chain

// Below returns the part of it that is of the agents below a prefix.
func (f Final) Below(prefix string) Final {
	part := Final{}
	for node, chains := range f {
		part[node] = map[string]Chain{}
		for agent, chain := range chains {
			if strings.HasPrefix(agent, prefix+"/") {
				part[node][agent] = chain
			}
		}
	}
	return part
}

// Versions checks agents whose every version was saved by a client: that no save
// is lost, doubled or made up, and that versions
// never change (G1, G3): every answered save is there under its number, every
// value that is there was sent, and once; and whatever was ever read of a
// version is what it is at the end.
func Versions(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "versions"}
	sent := map[string]history.Op{}
	for _, op := range ops {
		if op.Kind == history.Save {
			sent[op.Value] = op
		}
	}
	for _, node := range slices.Sorted(maps.Keys(final)) {
		for _, agent := range slices.Sorted(maps.Keys(final[node])) {
			v.chain(node, agent, final[node][agent], sent)
		}
	}
	for _, op := range ops {
		if op.Outcome != history.OK || op.Version == 0 || op.Kind != history.Save && op.Kind != history.Restore {
			continue
		}
		for _, node := range slices.Sorted(maps.Keys(final)) {
			v.Checked++
			chain := final[node][op.Agent]
			if op.Version > uint64(len(chain)) {
				v.add("node %s has %d versions of agent %s, but: %s", node, len(chain), op.Agent, describe(op))
			} else if is := chain[op.Version-1]; is.Value != op.Value || op.Kind == history.Save && is.Revision != op.Revision {
				v.add("node %s has %+v as version %d of agent %s, but: %s", node, is, op.Version, op.Agent, describe(op))
			}
		}
	}
	return v
}

func (v *Verdict) chain(node, agent string, chain Chain, sent map[string]history.Op) {
	seen := map[string]int{}
	for i, made := range chain {
		v.Checked++
		value := made.Value
		op, ok := sent[value]
		switch {
		case !ok || op.Agent != agent:
			v.add("node %s has a version %d of agent %s that nobody saved: %q", node, i+1, agent, value)
		case op.Outcome == history.Failed:
			v.add("node %s has as version %d of agent %s a save that was refused: %s", node, i+1, agent, describe(op))
		case seen[value] != 0:
			v.add("node %s has one save of agent %s twice, as versions %d and %d: %s", node, agent, seen[value], i+1, describe(op))
		}
		seen[value] = i + 1
	}
}

// Replicas checks that all nodes have the same at the end.
func Replicas(final Final) Verdict {
	v := Verdict{Name: "replicas are equal"}
	nodes := slices.Sorted(maps.Keys(final))
	if len(nodes) < 2 {
		v.Inconclusive = "fewer than two nodes told what they have"
		return v
	}
	for _, node := range nodes[1:] {
		first, other := final[nodes[0]], final[node]
		for _, agent := range slices.Sorted(maps.Keys(first)) {
			v.Checked++
			if !slices.Equal(first[agent], other[agent]) {
				v.add("agent %s: node %s has %d versions, node %s %d, and they differ", agent, nodes[0], len(first[agent]), node, len(other[agent]))
			}
		}
		if len(first) != len(other) {
			v.add("node %s has %d agents, node %s %d", nodes[0], len(first), node, len(other))
		}
	}
	return v
}
