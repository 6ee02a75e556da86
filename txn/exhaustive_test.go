// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"fmt"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// clock has all times that differ to a transaction with a deadline of 20: before
// it, at it and past it.
var clock = [...]int64{10, 20, 30}

// Claim: whatever happens in whatever order to one or two transactions of up to
// three agents, each keeps its promises: the rules of oracle_test.go in every
// step, those of model_test.go in what is done to the agents, repeats that
// change nothing, and no state from which yes votes alone lead to no decision.
// Method: every world that can be reached is visited once, from every shape,
// and every input is tried in each.
func TestStep_AllInterleavings(t *testing.T) {
	all := shapes()
	visited := make([]int, len(all))
	t.Run("shapes", func(t *testing.T) {
		for i, s := range all {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				e := newExplorer(t, s)
				e.explore()
				e.checkReached()
				e.checkRepeats()
				visited[i] = len(e.worlds)
				t.Logf("%d worlds with %d states of transactions, %d steps", len(e.worlds), len(e.txns)-1, e.steps)
			})
		}
	})
	total := 0
	for _, n := range visited {
		total += n
	}
	t.Logf("%d worlds of %d shapes", total, len(all))
	if total < leastWorlds {
		t.Errorf("only %d worlds were visited, %d or more are known", total, leastWorlds)
	}
}

// leastWorlds is a little less than what all shapes have; what makes the worlds
// fewer hides some of them.
const leastWorlds = 300_000

// shapes returns one transaction of one to three agents, and two that share an
// agent, cross, overlap or have nothing in common, each as one that decides
// itself and as a manual one. To keep the largest small, in those of two fewer
// agents are quiet, start again or are gone; alone a transaction has it all.
func shapes() (all []shape) {
	for _, agents := range []string{"a", "ab", "abc"} {
		for _, manual := range []bool{false, true} {
			for quiet := range 1 + len(agents) {
				all = append(all, shape{plans: []plan{{agents, manual, agents[:quiet], 20}}, restarts: agents[:min(2, len(agents))], gone: agents})
			}
		}
	}
	for _, pair := range []struct {
		first, second, quiet, restarts, gone string
		deadlines                            [2]int64
	}{
		{"a", "a", "", "a", "a", [2]int64{20, 20}},
		{"a", "b", "", "ab", "ab", [2]int64{20, 20}},
		{"ab", "ba", "", "a", "b", [2]int64{20, 30}},
		{"ab", "ba", "b", "b", "a", [2]int64{30, 20}},
		{"ab", "bc", "", "b", "b", [2]int64{20, 20}},
		{"abc", "b", "a", "b", "b", [2]int64{20, 30}},
		{"abc", "cba", "b", "", "c", [2]int64{20, 30}},
	} {
		for manual := range 4 {
			all = append(all, shape{restarts: pair.restarts, gone: pair.gone, plans: []plan{
				{pair.first, manual&1 != 0, pair.quiet, pair.deadlines[0]},
				{pair.second, manual&2 != 0, "", pair.deadlines[1]},
			}})
		}
	}
	return all
}

// checkDecidable fails if votes of yes, and an initiator who then commits, do
// not decide all transactions at once: if some wait for each other.
func (e *explorer) checkDecidable(w world) {
	from := w
	for progress := true; progress; {
		progress = false
		for i, number := range w.txns {
			if number == 0 || e.txns[number].State.Decided() {
				continue
			}
			for n, in := range e.inputs[i] {
				b, vote := in.(txn.Ballot)
				d, decide := in.(txn.Decide)
				if vote && b.Yes && e.mayVote(w, i, b) || decide && d.Commit {
					was := w
					if err := e.perform(&w, move{input, int8(i), int8(n)}); err != nil {
						e.fail(from, move{input, int8(i), int8(n)}, err)
					}
					progress = progress || w != was
				}
			}
		}
	}
	for i, number := range w.txns {
		if t := &e.txns[number]; number != 0 && !t.State.Decided() {
			e.fail(from, move{kind: agree}, fmt.Errorf("t%d can not be decided any more: %+v", i+1, t))
		}
	}
}

// checkRepeats fails if an input that was taken once, by whatever way, does
// anything when it comes again. By induction: it does nothing at once (a), and
// what does nothing does nothing after any other step either (b). A deadline
// that has come meanwhile is none of its doing.
func (e *explorer) checkRepeats() {
	for known := -1; known != e.steps; { // until there is no repeat to ask more of
		known = e.steps
		for n := 1; n < len(e.txns); n++ {
			e.checkRepeatsOf(n)
		}
	}
}

func (e *explorer) checkRepeatsOf(number int) {
	asked := e.asked(number)
	var taken []question // that did nothing
	for _, q := range asked {
		if a := e.answer(q); a.err == nil && a.txn == number {
			taken = append(taken, q)
		}
	}
	for _, q := range asked {
		a := e.answer(q)
		if a.err == nil {
			e.checkNothingDone(q, q, a.txn) // a
		}
		for _, before := range taken {
			if a.txn != number && before.clock <= q.clock {
				e.checkNothingDone(q, before, a.txn) // b
			}
		}
	}
}

// asked returns the questions that were asked of a transaction.
func (e *explorer) asked(number int) (all []question) {
	for i, a := range e.answers[number] {
		if a != nil {
			all = append(all, question{number, i / len(clock), i % len(clock)})
		}
	}
	return all
}

func (e *explorer) answer(q question) *answer { return e.answers[q.txn][q.input*len(clock)+q.clock] }

// checkNothingDone asks a question once more after a step, then and later.
func (e *explorer) checkNothingDone(after, asked question, number int) {
	t := &e.txns[number]
	i := 0
	if t.ID.ID == "t2" {
		i = 1
	}
	for at := after.clock; at < len(clock); at++ {
		if !t.State.Decided() && clock[at] >= t.Deadline {
			break
		}
		a, err := e.step(question{number, asked.input, at}, i)
		if err != nil || a.txn != number || len(a.actions) > 0 || a.err != nil {
			e.t.Fatalf("%#v came again at %d to %+v and gave %+v, %v, %v (%v)",
				e.inputs[i][asked.input], clock[at], t, e.txns[a.txn], a.actions, a.err, err)
		}
	}
}

// checkReached fails unless the exploration saw all that may become of the
// transactions of its shape: it shall not be quiet for having done nothing.
func (e *explorer) checkReached() {
	type fate struct {
		id    string
		state hawser.TxnState
		done  bool
		kept  bool
	}
	reached := map[fate]bool{}
	for i := range e.txns[1:] {
		t := &e.txns[1+i]
		reached[fate{t.ID.ID, t.State, t.Done(), t.Kept()}] = true
	}
	for i, p := range e.plans {
		want := []fate{{state: hawser.TxnPending}, {state: hawser.TxnCommitted, done: true}, {state: hawser.TxnAborted, done: true}}
		if p.manual {
			want = append(want, fate{state: hawser.TxnPrepared})
		}
		if p.quiet != p.agents {
			want = append(want, fate{state: hawser.TxnCommitted}, fate{state: hawser.TxnCommitted, done: true, kept: true})
		}
		if p.quiet != p.agents && (p.manual || len(p.agents) > 1) { // else a yes commits
			want = append(want, fate{state: hawser.TxnAborted})
		}
		for _, f := range want {
			if f.id = fmt.Sprintf("t%d", i+1); !reached[f] {
				e.t.Errorf("never reached: %+v", f)
			}
		}
	}
}
