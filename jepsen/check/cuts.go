// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Cuts checks groups of agents that are written to together only. By docs/cuts.md:
//
//   - What is saved for several agents is there in all of them, at one revision, or
//     in none, and nobody reads one without the others.
//   - A cut has of each agent the version that was current at the cut's revision,
//     and never another one.
//   - Rolling back to a cut gives all of its agents what they have in it, at one
//     revision, once; or none of them anything.
func Cuts(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "cuts"}
	g := groupsOf(ops)
	for _, op := range ops {
		same := !slices.ContainsFunc(op.Numbers, func(n uint64) bool { return n != op.Numbers[0] })
		if op.Kind == history.Heads && op.Outcome == history.OK {
			if v.Checked++; !same || !slices.Equal(op.Agents, g.members[op.Agent]) {
				v.add("not all agents of the group were saved together: %s", describe(op))
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(final)) {
		for _, name := range slices.Sorted(maps.Keys(g.members)) {
			c := &crew{Verdict: &v, groups: g, node: node, name: name, chains: final[node]}
			c.together()
			c.check(ops)
			c.repeats(ops)
		}
	}
	return v
}

// groups is what is known of groups and their cuts by the operations alone.
type groups struct {
	members map[string][]string
	saves   map[string]history.Op
	// cuts are the first answers about what is in a cut, by its name.
	cuts map[string]history.Op
}

func groupsOf(ops []history.Op) groups {
	g := groups{members: map[string][]string{}, saves: map[string]history.Op{}, cuts: map[string]history.Op{}}
	for _, op := range ops {
		switch op.Kind { //nolint:exhaustive // others say nothing of groups
		case history.SaveAll:
			g.members[op.Agent], g.saves[op.Value] = op.Agents, op
		case history.Cut, history.ShowCut:
			if _, known := g.cuts[op.Value]; !known && op.Outcome == history.OK {
				g.cuts[op.Value] = op
			}
		}
	}
	return g
}

// crew is what a node has of a group.
type crew struct {
	*Verdict
	groups

	node, name string
	chains     map[string]Chain
}

// chain is what the first agent of the group has; the others have the same, or
// together says so.
func (c *crew) chain() Chain { return c.chains[c.members[c.name][0]] }

// together checks that all agents of the group have the same versions.
func (c *crew) together() {
	first := c.members[c.name][0]
	for _, agent := range c.members[c.name][1:] {
		c.Checked++
		mine, other := c.chain(), c.chains[agent]
		for i := range max(len(mine), len(other)) {
			var a, b Version
			if i < len(mine) {
				a = mine[i]
			}
			if i < len(other) {
				b = other[i]
			}
			if a.Value != b.Value || a.Revision != b.Revision {
				c.add("node %s has as version %d of agent %s %q of revision %d, and of agent %s %q of revision %d",
					c.node, i+1, first, a.Value, a.Revision, agent, b.Value, b.Revision)
				break // what follows differs too
			}
		}
	}
}

// at returns what the agent of an operation's i-th number has under it.
func (c *crew) at(op history.Op, i int) Version {
	chain, n := c.chains[op.Agents[i]], op.Numbers[i]
	if n == 0 || n > uint64(len(chain)) {
		return Version{}
	}
	return chain[n-1]
}

// check checks what was answered.
func (c *crew) check(ops []history.Op) {
	for _, op := range ops {
		if op.Agent != c.name || op.Outcome != history.OK {
			continue
		}
		c.Checked++
		switch op.Kind { //nolint:exhaustive // others say nothing of versions
		case history.SaveAll:
			c.made(op, func(int) string { return op.Value })
		case history.Cut, history.ShowCut:
			c.current(op)
		case history.RollbackTo:
			if cut, known := c.cuts[op.Value]; known && slices.Equal(op.Agents, cut.Agents) {
				c.made(op, func(i int) string { return c.at(cut, i).Value })
			} else if known {
				c.add("not the agents of the cut: %s\n  and %s", describe(op), describe(cut))
			}
		}
	}
}

// made checks that an operation made the versions that it says, of which value
// tells the content.
func (c *crew) made(op history.Op, value func(i int) string) {
	for i, agent := range op.Agents {
		if is := c.at(op, i); is.Revision != op.Revision || is.Value != value(i) {
			c.add("node %s has as version %d of agent %s %q of revision %d, not %q: %s",
				c.node, op.Numbers[i], agent, is.Value, is.Revision, value(i), describe(op))
		}
	}
}

// current checks that a cut is of its revision.
func (c *crew) current(op history.Op) {
	if !slices.Equal(op.Agents, c.members[c.name]) {
		c.add("not the agents of the group: %s", describe(op))
	}
	if cut := c.cuts[op.Value]; cut.Revision != op.Revision || !slices.Equal(cut.Numbers, op.Numbers) {
		c.add("a cut changes: %s\n  and %s", describe(cut), describe(op))
	}
	for i, agent := range op.Agents {
		is, next := c.at(op, i), Version{}
		if chain := c.chains[agent]; op.Numbers[i] < uint64(len(chain)) {
			next = chain[op.Numbers[i]]
		}
		if is.Revision == 0 || is.Revision > op.Revision || next.Revision != 0 && next.Revision <= op.Revision {
			c.add("node %s: version %d of agent %s is of revision %d and the next one of %d: %s",
				c.node, op.Numbers[i], agent, is.Revision, next.Revision, describe(op))
		}
	}
}

// repeats checks that every version is a save, or a rollback, and each of them one.
func (c *crew) repeats(ops []history.Op) {
	done := map[uint64]bool{} // revisions of rollbacks
	var open []string         // what those of which it is unknown make if they were done, "" for anything
	for _, op := range ops {
		if op.Kind != history.RollbackTo || op.Agent != c.name {
			continue
		}
		if done[op.Revision] = true; op.Outcome != history.Unknown {
			continue
		}
		value := ""
		if cut, known := c.cuts[op.Value]; known {
			value = c.at(cut, 0).Value
		}
		open = append(open, value)
	}
	seen := map[string]bool{}
	for i, made := range c.chain() {
		c.Checked++
		op, known := c.saves[made.Value]
		switch {
		case !known:
			c.add("node %s has a version %d of group %s that nobody saved: %q", c.node, i+1, c.name, made.Value)
		case op.Outcome == history.Failed:
			c.add("node %s has as version %d of group %s what was refused: %s", c.node, i+1, c.name, describe(op))
		case !seen[made.Value]:
			seen[made.Value] = true
		case !done[made.Revision]:
			j := slices.IndexFunc(open, func(value string) bool { return value == made.Value || value == "" })
			if j < 0 {
				c.add("node %s has as version %d of group %s %q again, and nobody rolled back to it", c.node, i+1, c.name, made.Value)
				continue
			}
			open = slices.Delete(open, j, j+1)
		}
	}
}
