// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// transact makes commands of transactions: mostly what is next.
func (g *generator) transact() []fsm.Command {
	all := g.model.sortedTxns()
	generation := g.model.generation * uint64(g.rng.IntN(2))
	if g.rng.IntN(40) == 0 {
		generation = 99
	}
	if len(all) < 3 || len(all) < 10 && g.rng.IntN(6) == 0 {
		return []fsm.Command{g.beginTxn(generation)}
	}
	t := all[g.rng.IntN(len(all))]
	if t.state.Decided() && g.rng.IntN(3) > 0 {
		t = all[g.rng.IntN(len(all))]
	}
	id := t.begin.ID
	if g.rng.IntN(40) == 0 {
		id.ID = "unknown"
	}
	p := &t.participants[g.rng.IntN(len(t.participants))]
	agent := p.agent
	if g.rng.IntN(40) == 0 {
		agent = g.name()
	}
	switch n := g.rng.IntN(100); {
	case n < 3:
		return []fsm.Command{t.begin}
	case n < 10:
		sweep := &fsm.SweepTxns{IDs: []hawser.TxnID{id, {Namespace: "default", ID: "unknown"}}}
		for _, t := range all {
			if g.rng.IntN(3) > 0 {
				sweep.IDs = append(sweep.IDs, t.begin.ID)
			}
		}
		return []fsm.Command{sweep}
	case n < 12:
		return []fsm.Command{&fsm.ForgetTxn{ID: id, Generation: generation}}
	case n < 15 || t.state == hawser.TxnPrepared && n < 60:
		return []fsm.Command{&fsm.DecideTxn{ID: id, Commit: g.rng.IntN(3) > 0, Reason: []string{"", "enough"}[min(1, g.rng.IntN(5))], Generation: generation}}
	case n < 18 || t.state.Decided() && n < 25:
		return []fsm.Command{&fsm.ResolveTxn{ID: id, Agent: agent, Reason: []string{"", "gone"}[min(1, g.rng.IntN(5))], Generation: generation}}
	case n < 22 || t.state.Decided() && n < 60:
		return []fsm.Command{&fsm.AcknowledgeTxn{
			ID: id, Agent: agent, Committed: (t.state == hawser.TxnCommitted) != (g.rng.IntN(15) == 0), Fence: g.fence(agent), Generation: generation,
		}}
	}
	for range 9 { // somebody whose turn it is and who is let through, mostly
		name := g.name()
		if live := g.model.resource(claim(name)).live(); live == nil && g.model.agent(name).fenced && g.rng.IntN(8) > 0 {
			continue
		}
		if queue := g.model.queue(name); len(queue) > 0 && queue[0].participant(name).vote == hawser.VoteNone && g.rng.IntN(8) > 0 {
			return g.voteTxn(queue[0], name, generation)
		}
	}
	return g.voteTxn(t, p.agent, generation)
}

func (g *generator) beginTxn(generation uint64) fsm.Command {
	b := &fsm.BeginTxn{
		ID: hawser.TxnID{Namespace: "default", ID: fmt.Sprintf("t%d", g.rng.IntN(20))}, Manual: g.rng.IntN(4) == 0,
		Deadline: g.model.time + (g.rng.Int64N(40+400*g.rng.Int64N(2))-1)*1e6, Generation: generation,
	}
	for range 1 + g.rng.IntN(3) {
		b.Participants = append(b.Participants, fsm.TxnTask{Agent: g.name(), Payload: make([]byte, g.rng.IntN(3))})
	}
	slices.SortFunc(b.Participants, func(a, b fsm.TxnTask) int { return cmp.Compare(a.Agent.Name, b.Agent.Name) })
	if g.rng.IntN(20) > 0 {
		b.Participants = slices.CompactFunc(b.Participants, func(a, b fsm.TxnTask) bool { return a.Agent == b.Agent })
	}
	g.rng.Shuffle(len(b.Participants), func(i, j int) { b.Participants[i], b.Participants[j] = b.Participants[j], b.Participants[i] })
	return b
}

// voteTxn votes. The state that comes with it, and all that is said of that, bears
// a mark by which it is told from what was saved.
func (g *generator) voteTxn(t *modelTxn, id hawser.AgentID, generation uint64) []fsm.Command {
	v := &fsm.VoteTxn{
		ID: t.begin.ID, Agent: id, Yes: g.rng.IntN(8) > 0, Fence: g.fence(id), Quiet: g.rng.IntN(3) == 0, Generation: generation,
	}
	if !v.Yes {
		v.Reason = "no wish"
		return []fsm.Command{v}
	}
	if g.rng.IntN(4) == 0 {
		return []fsm.Command{v}
	}
	a := g.model.agent(id)
	live := a.live
	if g.rng.IntN(10) == 0 {
		live = g.rng.Uint64N(live + 1)
	}
	g.marks++
	commands := g.save(id, a, fsm.Request{Nonce: nonce(fmt.Sprint(g.rng.Uint64()))}, &live, fmt.Sprintf("«mark %06d»", g.marks))
	last := len(commands) - 1
	v.State = commands[last].(*fsm.Save)
	v.State.Fence, v.State.Force = 0, false
	commands[last] = v
	g.sent = append(g.sent, v)
	return commands
}

// marked returns a state with a mark in it.
func marked(state []byte, mark string) []byte {
	if mark == "" {
		return state
	}
	return append(append(append([]byte{}, state[:len(state)/2]...), mark...), state[len(state)/2:]...)
}
