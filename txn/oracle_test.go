// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// What a step may do, written down a second time and without actions.

// clone returns a copy that shares nothing with t.
func clone(t txn.Txn) txn.Txn {
	t.Participants = slices.Clone(t.Participants)
	return t
}

// frozen is a transaction of at most three participants that can be compared.
type frozen struct {
	id              hawser.TxnID
	manual          bool
	begun, deadline int64
	state           hawser.TxnState
	decided         int64
	reason          string
	participants    [3]txn.Participant
}

func freeze(t txn.Txn) frozen {
	f := frozen{t.ID, t.Manual, t.Begun, t.Deadline, t.State, t.Decided, t.Reason, [3]txn.Participant{}}
	copy(f.participants[:], t.Participants)
	return f
}

// Claim: what the exploration takes for the same transaction is the same in
// every field. A new field must be added to frozen.
func TestFreeze_KnowsEveryField(t *testing.T) {
	known, all := reflect.TypeFor[frozen](), reflect.TypeFor[txn.Txn]()
	if known.NumField() != all.NumField() {
		t.Fatalf("%d fields of %d", known.NumField(), all.NumField())
	}
	for i := range known.NumField() {
		if !strings.EqualFold(known.Field(i).Name, all.Field(i).Name) {
			t.Errorf("field %s is not %s", known.Field(i).Name, all.Field(i).Name)
		}
	}
}

// rule returns the state in which an input of a participant or of one who may
// decide must leave a transaction, and the code with which it is refused.
func rule(t *txn.Txn, in txn.Input, at int64) (hawser.TxnState, hawser.Code) {
	state := t.State
	if !state.Decided() && at >= t.Deadline {
		state = hawser.TxnAborted
	}
	switch in := in.(type) {
	case txn.Ballot:
		return ballotRule(t, state, in)
	case txn.Decide:
		switch {
		case in.Commit && state == hawser.TxnPrepared:
			return hawser.TxnCommitted, hawser.CodeOK
		case !in.Commit && !state.Decided():
			return hawser.TxnAborted, hawser.CodeOK
		case in.Commit != (state == hawser.TxnCommitted):
			return state, hawser.CodeRefused
		}
	case txn.Acknowledge:
		if !state.Decided() || in.Committed != (state == hawser.TxnCommitted) {
			return state, hawser.CodeRefused
		}
	case txn.Resolve:
		if !state.Decided() {
			return state, hawser.CodeRefused
		}
	}
	return state, hawser.CodeOK
}

func ballotRule(t *txn.Txn, state hawser.TxnState, b txn.Ballot) (hawser.TxnState, hawser.Code) {
	missing := 0
	for i := range t.Participants {
		if t.Participants[i].Vote == hawser.VoteNone {
			missing++
		}
	}
	p := t.Participants[t.Participant(b.Agent)]
	switch {
	case isCast(&p, b):
		return state, hawser.CodeOK
	case p.Vote != hawser.VoteNone:
		return state, hawser.CodeRefused
	case state != hawser.TxnPending:
		return state, hawser.CodeRefused
	case !b.Yes:
		return hawser.TxnAborted, hawser.CodeOK
	case missing > 1:
		return state, hawser.CodeOK
	case t.Manual:
		return hawser.TxnPrepared, hawser.CodeOK
	}
	return hawser.TxnCommitted, hawser.CodeOK
}

// isCast reports whether a ballot is the vote of a participant.
func isCast(p *txn.Participant, b txn.Ballot) bool {
	return p.Vote != hawser.VoteNone && b.Yes == (p.Vote == hawser.VoteYes) && b.Epoch == p.Epoch && b.Digest == p.Digest
}

// checkStep returns what is wrong with what Step made of before.
func checkStep(before, after *txn.Txn, in txn.Input, at int64, actions []txn.Action, refused error) error {
	if b, ok := in.(txn.Ballot); ok && before.Repeats(b) != isCast(&before.Participants[before.Participant(b.Agent)], b) {
		return fmt.Errorf("a repeat or not: Repeats says %t", before.Repeats(b))
	}
	state, code := rule(before, in, at)
	switch e, ours := errors.AsType[*hawser.Error](refused); {
	case refused != nil && !ours:
		return fmt.Errorf("an error of another type: %w", refused)
	case hawser.CodeOf(refused) != code:
		return fmt.Errorf("the answer should have the code %s: %w", code, refused)
	case ours && (e.Op == "" || e.Key != before.ID.String() || e.Msg == ""):
		return fmt.Errorf("the refusal does not say what, of which and why: %w", refused)
	case after.State != state:
		return fmt.Errorf("it became %s, not %s", after.State, state)
	case refused != nil && state == before.State && (freeze(*before) != freeze(*after) || len(actions) > 0):
		return fmt.Errorf("refused, and did something: %+v, %v", after, actions)
	}
	return checkChange(before, after, in, at, actions)
}

func checkChange(before, after *txn.Txn, in txn.Input, at int64, actions []txn.Action) error {
	announced := 0
	for _, a := range actions {
		if a.Kind == txn.Announce {
			announced++
		}
	}
	changed := before.State != after.State
	if changed != (announced == 1) || announced > 1 {
		return fmt.Errorf("from %s to %s with %d announcements", before.State, after.State, announced)
	}
	if before.State.Decided() {
		if changed || after.Decided != before.Decided || after.Reason != before.Reason {
			return fmt.Errorf("the decision changed from %s at %d to %s at %d", before.State, before.Decided, after.State, after.Decided)
		}
	} else if after.State.Decided() && after.Decided != at {
		return fmt.Errorf("decided at %d, and says %d", at, after.Decided)
	}
	if after.State == hawser.TxnCommitted && after.Decided >= after.Deadline {
		return fmt.Errorf("committed at %d, past its deadline", after.Decided)
	}
	for i := range after.Participants {
		if err := checkParticipant(before, after, i, in); err != nil {
			return fmt.Errorf("participant %s: %w", after.Participants[i].Agent, err)
		}
	}
	return nil
}

// checkParticipant returns an error if a step made a participant vote, or be
// done, without its own doing.
func checkParticipant(before, after *txn.Txn, i int, in txn.Input) error {
	was, is := before.Participants[i], after.Participants[i]
	if b, ok := in.(txn.Ballot); is.Vote != was.Vote {
		if !ok || b.Agent != is.Agent || was.Vote != hawser.VoteNone || before.State != hawser.TxnPending {
			return fmt.Errorf("its vote went from %s to %s", was.Vote, is.Vote)
		}
		if b.Yes {
			b.Reason = "" // there is none for a yes
		}
		if is.Epoch != b.Epoch || is.Digest != b.Digest || is.Quiet != b.Quiet || is.Reason != b.Reason {
			return fmt.Errorf("its vote was not noted as cast: %+v", is)
		}
	}
	bound := is.Vote == hawser.VoteYes && !is.Quiet
	switch said := in.(type) {
	case txn.Acknowledge:
		if said.Agent == is.Agent {
			return nil
		}
	case txn.Resolve:
		if said.Agent == is.Agent {
			if is.Resolved && is.Reason == "" {
				return errors.New("resolved for no reason")
			}
			return nil
		}
	}
	if want := after.State.Decided() && !bound; is.Acknowledged != (was.Acknowledged || want) || is.Resolved != was.Resolved {
		return fmt.Errorf("%s: acknowledged %t, resolved %t; before %t, %t", after.State, is.Acknowledged, is.Resolved, was.Acknowledged, was.Resolved)
	}
	return nil
}
