// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// explorer visits the worlds of a shape. A step depends on the transaction, the
// input and the time only, which is checked once for each, so that steps are
// remembered and worlds hold the numbers of transactions instead of them.
type explorer struct {
	t *testing.T
	shape
	txns    []txn.Txn // by number; there is no 0
	numbers map[frozen]int
	inputs  [2][]txn.Input // of each transaction
	answers [][]*answer    // by number of the transaction, then input and time
	steps   int
	worlds  map[world]origin
	pending []world
}

type question struct{ txn, input, clock int }

type answer struct {
	txn     int
	actions []txn.Action
	err     error
}

// move leads from a world to another one: an input of a transaction, or one of
// the surroundings.
type move struct {
	kind  moveKind
	which int8 // transaction, or agent
	input int8
}

type moveKind int8

const (
	wait moveKind = iota
	begin
	restart
	input
	agree // of all, as far as they may; tried from every world, and leads to none
)

// origin is how a world was found, to tell the way to a fault.
type origin struct {
	from world
	move move
}

func newExplorer(t *testing.T, s shape) *explorer {
	t.Helper()
	e := &explorer{
		t: t, shape: s, txns: make([]txn.Txn, 1), answers: make([][]*answer, 1),
		numbers: map[frozen]int{}, worlds: map[world]origin{},
	}
	for i, p := range s.plans {
		e.inputs[i] = inputs(p, s)
	}
	return e
}

// inputs returns everything that may be said to a transaction. Two contents and
// two epochs stand for all: what matters is whether a vote is the same.
func inputs(p plan, s shape) (all []txn.Input) {
	for _, c := range p.agents {
		agent, quiet := id(string(c)), strings.ContainsRune(p.quiet, c)
		epochs := 1 + strings.Count(s.restarts, string(c))
		for epoch := uint64(1); epoch <= uint64(epochs); epoch++ {
			all = append(all, txn.Ballot{Agent: agent, Yes: true, Epoch: epoch, Digest: hawser.Hash{1}, Quiet: quiet},
				txn.Ballot{Agent: agent, Epoch: epoch, Reason: "no wish"})
		}
		all = append(all, txn.Ballot{Agent: agent, Yes: true, Epoch: 1, Digest: otherContent, Quiet: quiet},
			txn.Acknowledge{Agent: agent}, txn.Acknowledge{Agent: agent, Committed: true})
		if strings.ContainsRune(s.gone, c) {
			all = append(all, txn.Resolve{Agent: agent, Reason: "it is gone"})
		}
	}
	return append(all, txn.Decide{Commit: true}, txn.Decide{Reason: "enough"}, txn.Expire{})
}

// otherContent is that of votes which are never the first.
var otherContent = hawser.Hash{2}

func (e *explorer) explore() {
	start := world{agents: [3]agent{{epoch: 1}, {epoch: 1}, {epoch: 1}}}
	e.visit(start, move{kind: begin})
	var moves []move
	for len(e.pending) > 0 {
		last := len(e.pending) - 1
		w := e.pending[last]
		e.pending = e.pending[:last]
		moves = e.appendMoves(moves[:0], w)
		for _, m := range moves {
			e.visit(w, m)
		}
		e.checkDecidable(w)
	}
}

// visit makes a move and checks the world to which it leads.
func (e *explorer) visit(from world, m move) {
	w := from
	if err := e.perform(&w, m); err != nil {
		e.fail(from, m, err)
	}
	if w == from {
		return
	}
	if _, known := e.worlds[w]; known {
		return
	}
	for i, number := range w.txns {
		if number == 0 {
			continue
		}
		if err := w.check(i, &e.txns[number]); err != nil {
			e.fail(from, m, err)
		}
	}
	e.worlds[w] = origin{from, m}
	e.pending = append(e.pending, w)
}

// appendMoves appends what may happen next, except what the surroundings refuse
// and what is known to leave the transaction as it is.
func (e *explorer) appendMoves(moves []move, w world) []move {
	if int(w.clock) < len(clock)-1 {
		moves = append(moves, move{kind: wait})
	}
	for _, c := range e.restarts {
		if n := int(c - 'a'); w.agents[n].epoch == 1 {
			moves = append(moves, move{kind: restart, which: int8(n)})
		}
	}
	for i := range e.plans {
		if w.txns[i] == 0 {
			moves = append(moves, move{kind: begin, which: int8(i)})
			continue
		}
		known := e.answers[w.txns[i]]
		for n, in := range e.inputs[i] {
			if a := known[n*len(clock)+int(w.clock)]; a != nil && a.txn == int(w.txns[i]) {
				continue
			}
			if b, ok := in.(txn.Ballot); !ok || e.mayVote(w, i, b) {
				moves = append(moves, move{input, int8(i), int8(n)})
			}
		}
	}
	return moves
}

func (e *explorer) mayVote(w world, i int, b txn.Ballot) bool {
	t := &e.txns[w.txns[i]]
	if t.State.Decided() || t.Participants[t.Participant(b.Agent)].Vote != hawser.VoteNone {
		return true
	}
	return b.Digest != otherContent && w.mayVote(i, b)
}

func (e *explorer) perform(w *world, m move) error {
	switch m.kind {
	case wait:
		w.clock++
	case restart:
		w.agents[m.which].epoch++
	case begin:
		return e.begin(w, int(m.which))
	case input:
		a, err := e.step(question{int(w.txns[m.which]), int(m.input), int(w.clock)}, int(m.which))
		if err != nil {
			return err
		}
		w.txns[m.which] = int16(a.txn)
		return w.do(int(m.which), a.actions)
	case agree:
	}
	return nil
}

func (e *explorer) begin(w *world, i int) error {
	p, now := e.plans[i], clock[w.clock]
	t, err := txn.Begin(hawser.TxnID{Namespace: hawser.DefaultNamespace, ID: fmt.Sprintf("t%d", i+1)}, ids(p.agents), p.manual, p.deadline, now)
	if past := now >= p.deadline; past || err != nil {
		if past && errors.Is(err, hawser.ErrRequestExpired) {
			return nil
		}
		return fmt.Errorf("begun at %d for %d: %w", now, p.deadline, err)
	}
	w.txns[i] = int16(e.number(t, i))
	w.enqueue(i, p.agents)
	return nil
}

// number returns the number of a value of the i-th transaction.
func (e *explorer) number(t txn.Txn, i int) int {
	key := freeze(t)
	n, known := e.numbers[key]
	if !known {
		n = len(e.txns)
		e.numbers[key] = n
		e.txns, e.answers = append(e.txns, t), append(e.answers, make([]*answer, len(e.inputs[i])*len(clock)))
	}
	return n
}

// step takes a step, or remembers it. An error is of a rule that was broken.
func (e *explorer) step(q question, i int) (answer, error) {
	known := &e.answers[q.txn][q.input*len(clock)+q.clock]
	if *known != nil {
		return **known, nil
	}
	before, in, at := e.txns[q.txn], e.inputs[i][q.input], clock[q.clock]
	kept := clone(before)
	after, actions, refused := txn.Step(before, in, at)
	again, actionsAgain, refusedAgain := txn.Step(before, in, at)
	if freeze(before) != freeze(kept) {
		return answer{}, fmt.Errorf("step changed its argument from %+v to %+v", kept, before)
	}
	if freeze(after) != freeze(again) || !slices.Equal(actions, actionsAgain) || fmt.Sprint(refused) != fmt.Sprint(refusedAgain) {
		return answer{}, errors.New("the same step gave another answer")
	}
	if err := checkStep(&before, &after, in, at, actions, refused); err != nil {
		return answer{}, err
	}
	e.steps++
	*known = &answer{e.number(after, i), actions, refused}
	return **known, nil
}

// fail ends the test with the way that led to a fault.
func (e *explorer) fail(from world, m move, err error) {
	way := []string{e.describe(from, m)}
	for w := from; ; {
		o := e.worlds[w]
		if o.from == w || o == (origin{}) {
			break
		}
		way = append(way, e.describe(o.from, o.move))
		w = o.from
	}
	var b strings.Builder
	for _, step := range slices.Backward(way) {
		fmt.Fprintf(&b, "  %s\n", step)
	}
	e.t.Fatalf("%v, after\n%s", err, b.String())
}

func (e *explorer) describe(w world, m move) string {
	s := fmt.Sprintf("at %d: ", clock[w.clock])
	switch m.kind {
	case wait:
		return s + "wait"
	case agree:
		return s + "yes votes only"
	case begin:
		return s + fmt.Sprintf("begin t%d", m.which+1)
	case restart:
		return s + "restart of the owner of " + letter(int(m.which))
	case input:
		return s + fmt.Sprintf("t%d %T %+v", m.which+1, e.inputs[m.which][m.input], e.inputs[m.which][m.input])
	}
	return s
}
