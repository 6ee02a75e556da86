// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

const tenMinutes = int64(600e9)

var t1 = hawser.TxnID{Namespace: hawser.DefaultNamespace, ID: "t1"}

func numbered(n int) (agents []hawser.AgentID) {
	for i := range n {
		agents = append(agents, id(fmt.Sprint("agent-", i)))
	}
	return agents
}

// Claim: what cannot be begun is refused with a code that says whether to
// correct it or to be faster, and leaves nothing; what is just possible begins.
func TestBegin_Limits(t *testing.T) {
	other := hawser.AgentID{Namespace: "other", Name: "a"}
	for _, row := range []struct {
		name          string
		agents        []hawser.AgentID
		deadline, now int64
		code          hawser.Code
	}{
		{"no participants", nil, 20, 10, hawser.CodeInvalid},
		{"one", numbered(1), 20, 10, hawser.CodeOK},
		{"64", numbered(hawser.MaxParticipants), 20, 10, hawser.CodeOK},
		{"65", numbered(hawser.MaxParticipants + 1), 20, 10, hawser.CodeInvalid},
		{"one twice", ids("aba"), 20, 10, hawser.CodeInvalid},
		{"one of another namespace", append(ids("a"), other), 20, 10, hawser.CodeInvalid},
		{"the least time", ids("a"), 11, 10, hawser.CodeOK},
		{"at the deadline", ids("a"), 10, 10, hawser.CodeRequestExpired},
		{"past the deadline", ids("a"), 9, 10, hawser.CodeRequestExpired},
		{"no deadline", ids("a"), 0, 10, hawser.CodeRequestExpired},
		{"the most time", ids("a"), 10 + tenMinutes, 10, hawser.CodeOK},
		{"more", ids("a"), 11 + tenMinutes, 10, hawser.CodeInvalid},
		{"for ever", ids("a"), math.MaxInt64, 10, hawser.CodeInvalid},
		{"a clock that was never set", ids("a"), 20, 0, hawser.CodeOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := txn.Begin(t1, row.agents, false, row.deadline, row.now)
			if hawser.CodeOf(err) != row.code {
				t.Fatalf("got %v, want code %s", err, row.code)
			}
			if err != nil {
				if !got.ID.IsZero() || len(got.Participants) > 0 {
					t.Errorf("refused, and returned %+v", got)
				}
				return
			}
			if err := got.Check(); err != nil || got.State != hawser.TxnPending || len(got.Participants) != len(row.agents) {
				t.Errorf("began %+v, %v", got, err)
			}
		})
	}
	if hawser.MaxTxnTimeout.Nanoseconds() != tenMinutes {
		t.Errorf("the documented limit is %s", hawser.MaxTxnTimeout)
	}
}

func yes(agent string) txn.Ballot {
	return txn.Ballot{Agent: id(agent), Yes: true, Epoch: 1, Digest: hawser.Hash{1}}
}

func no(agent, reason string) txn.Ballot {
	return txn.Ballot{Agent: id(agent), Epoch: 1, Reason: reason}
}

// after returns a transaction of a and b with a deadline of 20 after inputs
// that must all be taken.
func after(t *testing.T, manual bool, inputs ...txn.Input) txn.Txn {
	t.Helper()
	x, err := txn.Begin(t1, ids("ab"), manual, 20, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inputs {
		if x, _, err = txn.Step(x, in, 11); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// Claim: an input that a transaction cannot take is refused with a code that
// says why and leaves no trace, and its counterpart at the limit is taken.
func TestStep_Refusals(t *testing.T) {
	const manual, automatic = true, false
	short, long := strings.Repeat("x", 256), strings.Repeat("x", 257)
	commit, abort := txn.Decide{Commit: true}, txn.Decide{Reason: "enough"}
	otherContent, otherEpoch := yes("a"), yes("a")
	otherContent.Digest, otherEpoch.Epoch = hawser.Hash{2}, 2
	inputs := func(in ...txn.Input) []txn.Input { return in }
	for _, row := range []struct {
		name   string
		manual bool
		before []txn.Input
		in     txn.Input
		code   hawser.Code
	}{
		{"vote of a stranger", automatic, nil, yes("c"), hawser.CodeInvalid},
		{"no of a stranger", automatic, nil, no("c", ""), hawser.CodeInvalid},
		{"vote of a namesake", automatic, nil, txn.Ballot{Agent: hawser.AgentID{Namespace: "other", Name: "a"}, Yes: true}, hawser.CodeInvalid},
		{"vote of a stranger after the commit", automatic, inputs(yes("a"), yes("b")), yes("c"), hawser.CodeInvalid},
		{"no without a reason", automatic, nil, no("a", ""), hawser.CodeOK},
		{"no with the longest reason", automatic, nil, no("a", short), hawser.CodeOK},
		{"no with a longer reason", automatic, nil, no("a", long), hawser.CodeInvalid},
		{"the vote again", automatic, inputs(yes("a")), yes("a"), hawser.CodeOK},
		{"yes, then other content", automatic, inputs(yes("a")), otherContent, hawser.CodeRefused},
		{"yes, then under another epoch", automatic, inputs(yes("a")), otherEpoch, hawser.CodeRefused},
		{"yes, then no", automatic, inputs(yes("a")), no("a", ""), hawser.CodeRefused},
		{"no, then yes", automatic, inputs(no("a", "")), yes("a"), hawser.CodeRefused},
		{"no of b, then yes of a", automatic, inputs(no("b", "")), yes("a"), hawser.CodeRefused},
		{"first no after the abort", automatic, inputs(abort), no("a", ""), hawser.CodeRefused},
		{"commit while votes are missing", manual, inputs(yes("a")), commit, hawser.CodeRefused},
		{"commit of what decides itself", automatic, inputs(yes("a")), commit, hawser.CodeRefused},
		{"commit when prepared", manual, inputs(yes("a"), yes("b")), commit, hawser.CodeOK},
		{"commit after commit", manual, inputs(yes("a"), yes("b"), commit), commit, hawser.CodeOK},
		{"commit after abort", manual, inputs(yes("a"), yes("b"), abort), commit, hawser.CodeRefused},
		{"abort after abort", automatic, inputs(abort), txn.Decide{Reason: "another"}, hawser.CodeOK},
		{"abort after commit", automatic, inputs(yes("a"), yes("b")), abort, hawser.CodeRefused},
		{"abort after manual commit", manual, inputs(yes("a"), yes("b"), commit), abort, hawser.CodeRefused},
		{"abort without a reason", automatic, nil, txn.Decide{}, hawser.CodeInvalid},
		{"abort with the longest reason", automatic, nil, txn.Decide{Reason: short}, hawser.CodeOK},
		{"abort with a longer reason", automatic, nil, txn.Decide{Reason: long}, hawser.CodeInvalid},
		{"acknowledgement while pending", automatic, inputs(yes("a")), txn.Acknowledge{Agent: id("a")}, hawser.CodeRefused},
		{"acknowledgement while prepared", manual, inputs(yes("a"), yes("b")), txn.Acknowledge{Agent: id("a")}, hawser.CodeRefused},
		{"acknowledgement of a stranger", automatic, inputs(yes("a"), yes("b")), txn.Acknowledge{Agent: id("c"), Committed: true}, hawser.CodeInvalid},
		{"resolution while pending", automatic, nil, txn.Resolve{Agent: id("a"), Reason: "gone"}, hawser.CodeRefused},
		{"resolution without a reason", automatic, inputs(yes("a"), yes("b")), txn.Resolve{Agent: id("a")}, hawser.CodeInvalid},
		{"resolution with the longest reason", automatic, inputs(yes("a"), yes("b")), txn.Resolve{Agent: id("a"), Reason: short}, hawser.CodeOK},
		{"resolution with a longer reason", automatic, inputs(yes("a"), yes("b")), txn.Resolve{Agent: id("a"), Reason: long}, hawser.CodeInvalid},
		{"resolution of a stranger", automatic, inputs(yes("a"), yes("b")), txn.Resolve{Agent: id("c"), Reason: "gone"}, hawser.CodeInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := after(t, row.manual, row.before...)
			got, actions, err := txn.Step(before, row.in, 12)
			if hawser.CodeOf(err) != row.code {
				t.Fatalf("got %v, want code %s", err, row.code)
			}
			if b, ok := row.in.(txn.Ballot); ok && err != nil && before.Repeats(b) {
				t.Errorf("refused with %v, and said to be a repeat", err)
			}
			if err != nil && (freeze(got) != freeze(before) || len(actions) > 0) {
				t.Errorf("refused, and did %v: %+v", actions, got)
			}
		})
	}
}

// Claim: at the deadline even an input that is refused aborts first, and its
// actions are returned beside the refusal. Method: every kind of bad input.
func TestStep_RefusalAtDeadlineAborts(t *testing.T) {
	for _, row := range []struct {
		in   txn.Input
		code hawser.Code
	}{
		{yes("b"), hawser.CodeRefused},
		{yes("c"), hawser.CodeInvalid},
		{no("a", ""), hawser.CodeRefused},
		{txn.Decide{Commit: true}, hawser.CodeRefused},
		{txn.Decide{}, hawser.CodeInvalid},
		{txn.Acknowledge{Agent: id("c"), Committed: true}, hawser.CodeInvalid},
		{txn.Resolve{Agent: id("a")}, hawser.CodeInvalid},
	} {
		before := after(t, false, yes("a"))
		for _, at := range []int64{19, 20, 21} {
			got, actions, err := txn.Step(before, row.in, at)
			if aborted := got.State == hawser.TxnAborted && got.Decided == at && len(actions) == 4; aborted != (at >= 20) {
				t.Errorf("%#v at %d: %+v, %v", row.in, at, got, actions)
			}
			if at >= 20 && hawser.CodeOf(err) != row.code {
				t.Errorf("%#v at %d: %v, want %s", row.in, at, err, row.code)
			}
		}
	}
}

// Claim: a cluster whose clock stands at zero, as that of a test, can decide.
func TestStep_DecidesAtTimeZero(t *testing.T) {
	x, err := txn.Begin(t1, ids("a"), false, 20, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []txn.Input{yes("a"), no("a", "no wish"), txn.Decide{Reason: "enough"}} {
		if got, _, err := txn.Step(x, in, 0); err != nil || !got.State.Decided() {
			t.Errorf("%#v: %v, %v", in, got.State, err)
		}
	}
}

// Claim: a transaction that breaks an invariant is not touched, and the error
// is none that a client would see as its own fault. Method: each invariant is
// broken by hand, in a transaction that Step has made.
func TestStep_BrokenInvariantStops(t *testing.T) {
	pending, committed, aborted := after(t, false, yes("a")), after(t, false, yes("a"), yes("b")), after(t, false, yes("a"), no("b", ""))
	prepared := after(t, true, yes("a"), yes("b"))
	for _, row := range []struct {
		name string
		from txn.Txn
		harm func(*txn.Txn)
	}{
		{"no state", pending, func(x *txn.Txn) { x.State = 0 }},
		{"unknown state", pending, func(x *txn.Txn) { x.State = 5 }},
		{"unknown vote", pending, func(x *txn.Txn) { x.Participants[0].Vote = 3 }},
		{"no participants", pending, func(x *txn.Txn) { x.Participants = nil }},
		{"participant twice", pending, func(x *txn.Txn) { x.Participants[0].Agent = x.Participants[1].Agent }},
		{"content without a vote", pending, func(x *txn.Txn) { x.Participants[1].Digest = hawser.Hash{1} }},
		{"quiet without a vote", pending, func(x *txn.Txn) { x.Participants[1].Quiet = true }},
		{"pending with all votes", pending, func(x *txn.Txn) { x.Participants[1].Vote = hawser.VoteYes }},
		{"pending with a no", pending, func(x *txn.Txn) { x.Participants[1].Vote = hawser.VoteNo }},
		{"pending and acknowledged", pending, func(x *txn.Txn) { x.Participants[0].Acknowledged = true }},
		{"pending with a time of the decision", pending, func(x *txn.Txn) { x.Decided = 11 }},
		{"pending with a reason", pending, func(x *txn.Txn) { x.Reason = "none" }},
		{"begun at its deadline", pending, func(x *txn.Txn) { x.Begun = x.Deadline }},
		{"prepared, and not manual", prepared, func(x *txn.Txn) { x.Manual = false }},
		{"prepared without all votes", prepared, func(x *txn.Txn) { x.Participants[1].Vote = hawser.VoteNo }},
		{"committed without all votes", committed, func(x *txn.Txn) { x.Participants[1].Vote = hawser.VoteNo }},
		{"committed at its deadline", committed, func(x *txn.Txn) { x.Decided = x.Deadline }},
		{"committed for a reason", committed, func(x *txn.Txn) { x.Reason = "none" }},
		{"resolved and not acknowledged", committed, func(x *txn.Txn) { x.Participants[0].Resolved = true }},
		{"aborted for no reason", aborted, func(x *txn.Txn) { x.Reason = "" }},
		{"aborted before it was begun", aborted, func(x *txn.Txn) { x.Decided = x.Begun - 1 }},
		{"aborted and waiting for a no", aborted, func(x *txn.Txn) { x.Participants[1].Acknowledged = false }},
	} {
		harmed := clone(row.from)
		row.harm(&harmed)
		if harmed.Check() == nil {
			t.Errorf("%s: Check finds nothing", row.name)
		}
		got, actions, err := txn.Step(harmed, txn.Expire{}, 30)
		if hawser.CodeOf(err) != hawser.CodeInternal || len(actions) > 0 || freeze(got) != freeze(harmed) {
			t.Errorf("%s: %v, %v", row.name, actions, err)
		}
	}
}
