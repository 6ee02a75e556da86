// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
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
	// Parent is the number of the version that it follows, 0 for none.
	Parent uint64
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
	back := map[string]int{}
	for _, op := range ops {
		switch {
		case op.Kind == history.Save:
			sent[op.Value] = op
		case op.Kind == history.Rollback && op.Outcome != history.Failed:
			back[op.Value]++
		}
	}
	gone := deletes(ops)
	v.missing(ops, gone)
	for _, node := range slices.Sorted(maps.Keys(final)) {
		for _, agent := range slices.Sorted(maps.Keys(final[node])) {
			v.chain(node, agent, final[node][agent], sent, back, gone[agent])
		}
	}
	for _, op := range ops {
		if op.Outcome != history.OK || op.Version == 0 || !op.MakesVersion() && op.Kind != history.Restore {
			continue
		}
		if gone[op.Agent].maybe(op.Version) {
			continue
		}
		for _, node := range slices.Sorted(maps.Keys(final)) {
			v.Checked++
			chain := final[node][op.Agent]
			if op.Version > uint64(len(chain)) {
				v.add("node %s has %d versions of agent %s, but: %s", node, len(chain), op.Agent, describe(op))
			} else if is := chain[op.Version-1]; is.Value != op.Value || op.MakesVersion() && is.Revision != op.Revision {
				v.add("node %s has %+v as version %d of agent %s, but: %s", node, is, op.Version, op.Agent, describe(op))
			}
		}
	}
	return v
}

// missing checks what clients were told is not there: a save cannot meet with that, and a
// version that was made before it was asked for is there, unless it may be deleted.
func (v *Verdict) missing(ops []history.Op, gone map[string]deleted) {
	type version struct {
		agent  string
		number uint64
	}
	made := map[version]history.Op{}
	for _, op := range ops {
		if op.Outcome == history.OK && op.MakesVersion() {
			made[version{op.Agent, op.Version}] = op
		}
	}
	for _, op := range ops {
		switch {
		case op.Kind == history.Save && op.Outcome == history.Failed && op.Code == hawser.CodeNotFound:
			v.add("a save was told that there is nothing: %s", describe(op))
		case op.Outcome == history.Failed && op.Code == hawser.CodeInvalid:
			v.add("what is valid was refused: %s", describe(op))
		case op.Kind == history.Restore && op.Outcome == history.OK && op.Number != 0 && op.Version == 0:
			v.Checked++
			if by, ok := made[version{op.Agent, op.Number}]; ok && by.Return < op.Call && !gone[op.Agent].maybe(op.Number) {
				v.add("a version was not found that was there: %s\n  %s", describe(by), describe(op))
			}
		}
	}
}

// deleted is up to which version deletes have removed those of an agent: for
// certain, and at the most. The number after each is of a delete.
type deleted struct{ certain, most uint64 }

func deletes(ops []history.Op) map[string]deleted {
	gone := map[string]deleted{}
	for _, op := range ops {
		if op.Kind != history.Delete || op.Outcome == history.Failed {
			continue
		}
		d := gone[op.Agent]
		if op.Outcome == history.OK {
			d.certain = max(d.certain, *op.Expect+1)
		}
		if op.Outcome == history.OK || !tooLate(op, ops) {
			d.most = max(d.most, *op.Expect+1)
		}
		gone[op.Agent] = d
	}
	return gone
}

// tooLate reports whether a delete of which nobody knows what became of it cannot have
// been done: the head was another one for certain before it was asked for.
func tooLate(del history.Op, ops []history.Op) bool {
	return slices.ContainsFunc(ops, func(op history.Op) bool {
		return op.Agent == del.Agent && op.Outcome == history.OK && op.MakesVersion() && op.Version > *del.Expect && op.Return < del.Call
	})
}

func (d deleted) maybe(number uint64) bool { return number <= d.most }

func (v *Verdict) chain(node, agent string, chain Chain, sent map[string]history.Op, back map[string]int, gone deleted) {
	type first struct{ times, number int }
	seen := map[string]first{}
	for i, made := range chain {
		v.Checked++
		value, number := made.Value, uint64(i+1)
		if made == (Version{}) && gone.maybe(number) {
			continue
		}
		op, ok := sent[value]
		before := seen[value]
		switch {
		case number <= gone.certain:
			v.add("node %s has version %d of agent %s, which was deleted: %q", node, number, agent, value)
		case !ok || op.Agent != agent:
			v.add("node %s has a version %d of agent %s that nobody saved: %q", node, number, agent, value)
		case op.Outcome == history.Failed:
			v.add("node %s has as version %d of agent %s a save that was refused: %s", node, number, agent, describe(op))
		case made.Parent != parentOf(chain, i, gone):
			v.add("node %s has version %d of agent %s after version %d, and not after %d: %s", node, number, agent, made.Parent, parentOf(chain, i, gone), describe(op))
		case i > 0 && chain[i-1].Revision >= made.Revision:
			v.add("node %s has version %d of agent %s at revision %d, and the one before at %d", node, number, agent, made.Revision, chain[i-1].Revision)
		case before.times > back[value]:
			v.add("node %s has one save of agent %s twice, as versions %d and %d: %s", node, agent, before.number, number, describe(op))
		}
		seen[value] = first{before.times + 1, int(number)}
	}
}

// parentOf is which version the one at i must follow: the one before, or none if that was
// deleted.
func parentOf(chain Chain, i int, gone deleted) uint64 {
	if i == 0 || chain[i-1] == (Version{}) && gone.maybe(uint64(i)) {
		return 0
	}
	return uint64(i)
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
