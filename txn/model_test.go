// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// A model of what surrounds transactions, as small as can be: up to three
// agents, each with a queue, a lock and a number of versions, and a clock. The
// model does what actions say and complains of those that cannot be done.

// plan is a transaction of a shape.
type plan struct {
	agents string // a letter each, in the order of the participants
	manual bool
	// quiet are those that have nothing to do after the decision.
	quiet    string
	deadline int64
}

func (p plan) String() string {
	s := p.agents
	if p.manual {
		s += " manual"
	}
	if p.quiet != "" {
		s += " quiet " + p.quiet
	}
	return s
}

// shape is one or two transactions to explore. The first is begun at once, the
// second at any time before its deadline.
type shape struct {
	plans []plan
	// restarts are the agents whose owner may start again, under another epoch;
	// gone those that an operator may answer for.
	restarts, gone string
}

func (s shape) String() string {
	var parts []string
	for _, p := range s.plans {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, " and ") + "; restarts " + s.restarts + ", gone " + s.gone
}

// world is a state of the model. It is comparable, so that a map knows which
// worlds were visited.
type world struct {
	clock  int8     // index in clock
	txns   [2]int16 // number of each transaction's value, 0 before it is begun
	agents [3]agent
	deeds  [2]deeds
}

type agent struct {
	epoch    uint8 // of the owner: 1, then 2 once it started again
	versions uint8
	holder   party    // that has locked it
	queue    [2]party // each transaction that waits for it or has locked it, the head first
}

// party is a transaction at an agent: 1 + its index, 0 for none.
type party int8

// deeds are the actions done for a transaction. Each may be done once.
type deeds struct {
	locked, published, discarded, left set
	finished                           bool
}

// set is a set of agents, a bit each.
type set uint8

func (s *set) add(agent int) error {
	if *s&(1<<agent) != 0 {
		return fmt.Errorf("the second time for agent %s", letter(agent))
	}
	*s |= 1 << agent
	return nil
}

func letter(agent int) string { return string(rune('a' + agent)) }

// id is the agent of a letter or word.
func id(name string) hawser.AgentID {
	return hawser.AgentID{Namespace: hawser.DefaultNamespace, Name: name}
}

func ids(letters string) (agents []hawser.AgentID) {
	for _, c := range letters {
		agents = append(agents, id(string(c)))
	}
	return agents
}

// enqueue puts a transaction at the end of the queues of its agents.
func (w *world) enqueue(txn int, letters string) {
	for _, c := range letters {
		q := &w.agents[c-'a'].queue
		q[slices.Index(q[:], 0)] = party(1 + txn)
	}
}

// do does for a transaction what a step told. An error names the action that
// makes no sense here.
func (w *world) do(number int, actions []txn.Action) error {
	for _, a := range actions {
		if err := w.act(number, a); err != nil {
			return fmt.Errorf("%s %s: %w", a.Kind, a.Agent.Name, err)
		}
	}
	return nil
}

func (w *world) act(number int, action txn.Action) error {
	deeds := &w.deeds[number]
	switch action.Kind {
	case txn.Announce, txn.Finish:
		if (action.Agent != hawser.AgentID{}) {
			return fmt.Errorf("it is of the transaction, and names an agent")
		}
		if action.Kind == txn.Finish && deeds.finished {
			return fmt.Errorf("the second time")
		}
		deeds.finished = deeds.finished || action.Kind == txn.Finish
		return nil
	case txn.Lock, txn.Publish, txn.Discard, txn.Leave:
	}
	if len(action.Agent.Name) != 1 {
		return fmt.Errorf("no such agent")
	}
	n := int(action.Agent.Name[0] - 'a')
	a, self := &w.agents[n], party(1+number)
	if action.Kind == txn.Lock {
		if a.holder != 0 || a.queue[0] != self {
			return fmt.Errorf("it is locked, or not the turn of this one: %+v", *a)
		}
		a.holder = self
		return deeds.locked.add(n)
	}
	if holds := a.holder == self; holds != (action.Kind != txn.Leave) {
		return fmt.Errorf("it is locked by this one: %t", holds)
	}
	if action.Kind == txn.Publish {
		a.holder, a.versions = 0, a.versions+1
		return deeds.published.add(n)
	}
	if action.Kind == txn.Discard {
		a.holder = 0
		return deeds.discarded.add(n)
	}
	at := slices.Index(a.queue[:], self)
	if at < 0 {
		return fmt.Errorf("it does not wait there")
	}
	copy(a.queue[at:], a.queue[at+1:])
	a.queue[len(a.queue)-1] = 0
	return deeds.left.add(n)
}

// mayVote reports whether the surroundings let a first vote through: of the
// owner, at the transaction's turn.
func (w *world) mayVote(number int, b txn.Ballot) bool {
	a := &w.agents[b.Agent.Name[0]-'a']
	return uint64(a.epoch) == b.Epoch && a.queue[0] == party(1+number)
}

// check returns what of a transaction's deeds does not fit its state.
func (w *world) check(number int, t *txn.Txn) error {
	var all, yes set
	resolved := false
	for i := range t.Participants {
		resolved = resolved || t.Participants[i].Resolved
		n := int(t.Participants[i].Agent.Name[0] - 'a')
		all |= 1 << n
		if t.Participants[i].Vote == hawser.VoteYes {
			yes |= 1 << n
		}
		if holds := w.agents[n].holder == party(1+number); holds != (!t.State.Decided() && yes&(1<<n) != 0) {
			return fmt.Errorf("%s: agent %s is locked: %t", t.State, letter(n), holds)
		}
	}
	want := deeds{locked: yes, finished: t.Done()}
	switch t.State {
	case hawser.TxnPending, hawser.TxnPrepared:
	case hawser.TxnCommitted:
		want.published, want.left = all, all
		if yes != all {
			return fmt.Errorf("committed with votes of %b only", yes)
		}
	case hawser.TxnAborted:
		want.discarded, want.left = yes, all
	}
	if w.deeds[number] != want {
		return fmt.Errorf("%s: done was %+v, not %+v", t.State, w.deeds[number], want)
	}
	if t.Kept() != (resolved && t.State == hawser.TxnCommitted) {
		return fmt.Errorf("%s: kept: %t", t.State, t.Kept())
	}
	return t.Check()
}
