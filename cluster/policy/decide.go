// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Decide returns what to do now. It does not change in.
func Decide(in Input) Action {
	c := survey(in)
	switch {
	case !in.Settled:
		c.note("a change of the configuration is under way")
		return c.none()
	case in.LeaderFor < in.Stabilise:
		c.note("the leader is new: members are judged after %s", short(in.Stabilise))
		return c.none()
	}
	for _, rule := range []func(*council) (Action, bool){removeVoter, promote, removeStandby} {
		if action, ok := rule(c); ok {
			action.Notes = c.notes
			return action
		}
	}
	return c.none()
}

// council is an Input sorted into groups.
type council struct {
	Input
	voters, standbys int
	reachable        int    // voters with fresh raft contact, the leader included
	live             int    // voters that are not dead
	deadVoters       []Node // longest silence first
	deadStandbys     []Node // longest silence first
	ready            []Node // standbys that could be promoted, closest first
	notes            []string
}

func survey(in Input) *council {
	c := &council{Input: in}
	for _, n := range in.Nodes {
		switch {
		case n.Voter:
			c.voters++
			c.addVoter(n)
		default:
			c.standbys++
			c.addStandby(n)
		}
	}
	bySilence := func(a, b Node) int { return cmp.Or(cmp.Compare(b.Silent, a.Silent), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(c.deadVoters, bySilence)
	slices.SortFunc(c.deadStandbys, bySilence)
	slices.SortFunc(c.ready, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Lag, b.Lag), cmp.Compare(a.ID, b.ID)) })
	return c
}

func (c *council) addVoter(n Node) {
	if n.Self || n.Silent <= c.Fresh {
		c.reachable++
	}
	if c.dead(n) {
		c.deadVoters = append(c.deadVoters, n)
		return
	}
	c.live++
	c.noteDisagreement(n, "voter")
}

func (c *council) addStandby(n Node) {
	switch {
	case c.dead(n):
		c.deadStandbys = append(c.deadStandbys, n)
	case n.Silent > c.Fresh || n.Gossip == Dead || n.Gossip == Left:
		c.noteDisagreement(n, "standby")
	case n.CloseFor < c.Stabilise || n.CloseFor == 0:
		c.note("standby %s does not follow closely enough yet: %d entries behind, close for %s of %s", n.ID, n.Lag, short(n.CloseFor), short(c.Stabilise))
	default:
		c.ready = append(c.ready, n)
	}
}

// dead is the one definition: raft and gossip must agree.
func (c *council) dead(n Node) bool {
	return !n.Self && n.Silent > c.Stabilise && n.Gossip != Alive && n.Gossip != Suspect
}

func (c *council) noteDisagreement(n Node, role string) {
	switch {
	case n.Self:
	case n.Silent > c.Stabilise:
		c.note("%s %s has had no raft contact for %s, but gossip says it is %s: it is not taken for dead", role, n.ID, short(n.Silent), n.Gossip)
	case n.Silent > c.Fresh:
		c.note("%s %s has had no raft contact for %s (gossip: %s); it is taken for dead after %s", role, n.ID, short(n.Silent), n.Gossip, short(c.Stabilise))
	case n.Gossip == Dead || n.Gossip == Left:
		c.note("gossip says that %s %s is %s, but raft had contact %s ago: nothing is done on gossip alone", role, n.ID, n.Gossip, short(n.Silent))
	}
}

func (c *council) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func (c *council) none() Action { return Action{Notes: c.notes} }

// quorum is the majority of n voters.
func quorum(n int) int { return n/2 + 1 }

// removeVoter removes one dead voter when there are more voters than wanted,
// which is so after its successor was promoted.
func removeVoter(c *council) (Action, bool) {
	if len(c.deadVoters) == 0 || c.voters <= max(c.Wanted, c.MinVoters, 1) {
		return Action{}, false
	}
	dead := c.deadVoters[0]
	if rest := c.voters - 1; rest%2 == 0 && rest != c.Wanted && len(c.deadVoters) == 1 {
		c.note("dead voter %s stays: without it %d voters would tolerate no more failures, and it may return", dead.ID, rest)
		return Action{}, false
	}
	if c.reachable < quorum(c.voters-1) {
		c.note("dead voter %s stays: only %d of the other %d voters can be reached", dead.ID, c.reachable, c.voters-1)
		return Action{}, false
	}
	return Action{Kind: Remove, Node: dead.ID, Reason: fmt.Sprintf(
		"voter %s has been dead for %s, and %d voters remain without it", dead.ID, short(dead.Silent), c.voters-1)}, true
}

// promote promotes one standby when live voters are missing.
func promote(c *council) (Action, bool) {
	if c.live >= c.Wanted {
		if len(c.deadVoters) == 0 && c.voters%2 == 0 {
			c.note("%d voters tolerate no more failures than %d: remove one, or add one and promote it", c.voters, c.voters-1)
		}
		return Action{}, false
	}
	missing := fmt.Sprintf("%d of %d wanted voters live", c.live, c.Wanted)
	switch {
	case len(c.ready) == 0:
		c.note("%s, and no standby is ready to be promoted", missing)
		return Action{}, false
	case c.reachable+1 < quorum(c.voters+1):
		c.note("%s, but only %d of %d voters can be reached: one more voter would stop the cluster", missing, c.reachable, c.voters)
		return Action{}, false
	case len(c.deadVoters) == 0 && c.voters%2 == 1 && len(c.ready) == 1:
		c.note("%s; standby %s waits for a second one, because %d voters tolerate no more failures than %d", missing, c.ready[0].ID, c.voters+1, c.voters)
		return Action{}, false
	}
	chosen, why := c.choose()
	return Action{Kind: Promote, Node: chosen.ID, Reason: missing + why}, true
}

// choose prefers the standby that came back under a dead voter's name, then
// the one that follows most closely.
func (c *council) choose() (Node, string) {
	for _, dead := range c.deadVoters {
		for _, n := range c.ready {
			if n.Name == dead.Name {
				return n, fmt.Sprintf("; %s returned as %s", dead.ID, n.ID)
			}
		}
	}
	if len(c.deadVoters) > 0 {
		return c.ready[0], fmt.Sprintf("; %s has been dead for %s", c.deadVoters[0].ID, short(c.deadVoters[0].Silent))
	}
	return c.ready[0], ""
}

// removeStandby forgets a standby that has been dead for long.
func removeStandby(c *council) (Action, bool) {
	for _, dead := range c.deadStandbys {
		if dead.Silent > c.ForgetStandby && c.LeaderFor >= c.Stabilise {
			return Action{Kind: Remove, Node: dead.ID, Reason: fmt.Sprintf("standby %s has been dead for %s", dead.ID, short(dead.Silent))}, true
		}
		c.note("standby %s has been dead for %s; it is removed after %s", dead.ID, short(dead.Silent), short(c.ForgetStandby))
	}
	for _, dead := range c.deadVoters {
		c.note("voter %s has been dead for %s", dead.ID, short(dead.Silent))
	}
	return Action{}, false
}

func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
