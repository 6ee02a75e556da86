// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
)

// Input is something that happens to a transaction: a [Ballot], [Decide],
// [Expire], [Acknowledge] or [Resolve].
type Input interface {
	take(t *Txn, at int64) ([]Action, error)
}

// Ballot is a participant's vote. The same vote again is a repeat, whatever its
// Reason and Quiet: those of the first count. The caller has seen to it that the voter owns
// the agent, that it is the transaction's turn there, and that what is staged
// follows the agent's head.
type Ballot struct {
	Agent hawser.AgentID
	Yes   bool
	// Epoch under which it is cast, 0 for an agent that nobody claims.
	Epoch uint64
	// Digest is of what is staged; a repeated vote has the same one.
	Digest hawser.Hash
	// Reason is why it votes no.
	Reason string
	// Quiet is as in [Participant].
	Quiet bool
}

// Decide is the decision of the initiator, or of an operator who aborts.
type Decide struct {
	Commit bool
	// Reason is required for an abort.
	Reason string
}

// Expire aborts a transaction at or past its deadline and does nothing before.
type Expire struct{}

// Acknowledge says that a participant has done what the decision says, and
// which that was. The caller has seen to it that it owns the agent.
type Acknowledge struct {
	Agent     hawser.AgentID
	Committed bool
}

// Resolve says that in the place of a participant that is gone.
type Resolve struct {
	Agent  hawser.AgentID
	Reason string
}

// Action is what the caller has to do in the same command.
type Action struct {
	Kind ActionKind
	// Agent is the participant concerned; zero for the transaction as a whole.
	Agent hawser.AgentID
}

// ActionKind says what to do.
type ActionKind uint8

const (
	// Lock says: stage what came with the vote, and refuse other writes to the agent.
	Lock ActionKind = iota + 1
	// Publish says: make what is staged the agent's next version, and unlock it.
	Publish
	// Discard says: forget what is staged, and unlock the agent.
	Discard
	// Leave says: it is the next transaction's turn at the agent.
	Leave
	// Announce says: tell who watches that the state has changed.
	Announce
	// Finish says: nobody has anything left to do.
	Finish
)

var actionNames = [...]string{Lock: "lock", Publish: "publish", Discard: "discard", Leave: "leave", Announce: "announce", Finish: "finish"}

// String returns the kind in a word.
func (k ActionKind) String() string {
	if k > 0 && int(k) < len(actionNames) {
		return actionNames[k]
	}
	return fmt.Sprintf("action %d", uint8(k))
}

// Step returns the transaction after an input at a time, and what the caller
// has to do. An error says why the input was refused; it is a *hawser.Error,
// but for a broken invariant, after which the caller must not go on. With a
// refusal too, the transaction and the actions count: whatever is done to an
// undecided transaction at or past its deadline aborts it first.
//
// An input that has been taken before changes nothing, and is no error.
func Step(t Txn, in Input, at int64) (Txn, []Action, error) {
	if err := t.Check(); err != nil {
		return t, nil, fmt.Errorf("transaction %s before %T: %w", t.ID, in, err)
	}
	before := t
	t.Participants = slices.Clone(t.Participants)
	var actions []Action
	if !t.State.Decided() && at >= t.Deadline {
		actions = t.abort("its deadline has passed", at)
	}
	more, refused := in.take(&t, at)
	wasDone := before.Done()
	if actions = append(actions, more...); t.Done() && !wasDone {
		actions = append(actions, Action{Kind: Finish})
	}
	err := t.Check()
	if err == nil {
		err = t.follows(&before)
	}
	if err != nil {
		return before, nil, fmt.Errorf("transaction %s after %T: %w", t.ID, in, err)
	}
	return t, actions, refused
}

// Repeats reports whether a ballot was taken before.
func (t *Txn) Repeats(b Ballot) bool {
	i := t.Participant(b.Agent)
	if i < 0 {
		return false
	}
	p, vote := &t.Participants[i], hawser.VoteNo
	if b.Yes {
		vote = hawser.VoteYes
	}
	return p.Vote == vote && p.Epoch == b.Epoch && p.Digest == b.Digest
}

func (b Ballot) take(t *Txn, at int64) ([]Action, error) {
	i := t.Participant(b.Agent)
	if i < 0 {
		return nil, t.refuse(hawser.CodeInvalid, "vote", "agent %q takes no part", b.Agent)
	}
	vote := hawser.VoteNo
	if b.Yes {
		vote = hawser.VoteYes
	}
	p := &t.Participants[i]
	switch {
	case t.Repeats(b):
		return nil, nil
	case p.Vote != hawser.VoteNone:
		return nil, t.refuse(hawser.CodeRefused, "vote", "agent %q has voted %s already, under epoch %d, and with something else", b.Agent, p.Vote, p.Epoch)
	case t.State != hawser.TxnPending:
		return nil, t.refuse(hawser.CodeRefused, "vote", "it is %s%s", t.State, because(t.Reason))
	case len(b.Reason) > maxReason:
		return nil, t.refuse(hawser.CodeInvalid, "vote", "a reason has at most %d bytes", maxReason)
	}
	p.Vote, p.Epoch, p.Digest, p.Quiet = vote, b.Epoch, b.Digest, b.Quiet
	if !b.Yes {
		p.Reason = b.Reason
		// Not %q: what it leaves as it is depends on the release of Go, and this is
		// replicated.
		return t.abort(`"`+b.Agent.Name+`" voted no`+because(b.Reason), at), nil
	}
	actions := []Action{{Lock, b.Agent}}
	for i := range t.Participants {
		if t.Participants[i].Vote != hawser.VoteYes {
			return actions, nil
		}
	}
	if t.Manual {
		t.State = hawser.TxnPrepared
		return append(actions, Action{Kind: Announce}), nil
	}
	return append(actions, t.commit(at)...), nil
}

func (d Decide) take(t *Txn, at int64) ([]Action, error) {
	switch {
	case !d.Commit && (d.Reason == "" || len(d.Reason) > maxReason):
		return nil, t.refuse(hawser.CodeInvalid, "abort", "it needs a reason of at most %d bytes", maxReason)
	case d.Commit && t.State == hawser.TxnCommitted, !d.Commit && t.State == hawser.TxnAborted:
		return nil, nil // a repeat, or as wished
	case d.Commit && t.State == hawser.TxnPrepared:
		return t.commit(at), nil
	case d.Commit:
		return nil, t.refuse(hawser.CodeRefused, "commit", "it is %s%s", t.State, because(t.Reason))
	case t.State == hawser.TxnCommitted:
		return nil, t.refuse(hawser.CodeRefused, "abort", "it is committed")
	}
	return t.abort(d.Reason, at), nil
}

func (Expire) take(*Txn, int64) ([]Action, error) { return nil, nil } // Step has done it

func (a Acknowledge) take(t *Txn, _ int64) ([]Action, error) { //nolint:unparam // as every input
	if t.Participant(a.Agent) >= 0 && t.State.Decided() && a.Committed != (t.State == hawser.TxnCommitted) {
		return nil, t.refuse(hawser.CodeRefused, "acknowledge", "it is %s, and %q has done something else", t.State, a.Agent.Name)
	}
	return nil, t.acknowledge("acknowledge", a.Agent, "")
}

func (r Resolve) take(t *Txn, _ int64) ([]Action, error) { //nolint:unparam // as every input
	if r.Reason == "" || len(r.Reason) > maxReason {
		return nil, t.refuse(hawser.CodeInvalid, "resolve", "it needs a reason of at most %d bytes", maxReason)
	}
	return nil, t.acknowledge("resolve", r.Agent, r.Reason)
}

// acknowledge notes that a participant needs not be waited for. A reason is of
// somebody who says so in its place.
func (t *Txn) acknowledge(op string, agent hawser.AgentID, reason string) error {
	i := t.Participant(agent)
	switch {
	case i < 0:
		return t.refuse(hawser.CodeInvalid, op, "agent %q takes no part", agent)
	case !t.State.Decided():
		return t.refuse(hawser.CodeRefused, op, "it is %s: there is no decision yet", t.State)
	}
	p := &t.Participants[i]
	if !p.Acknowledged && reason != "" {
		p.Resolved, p.Reason = true, reason
	}
	p.Acknowledged = true
	return nil
}

// commit decides that what all have staged counts.
func (t *Txn) commit(at int64) (actions []Action) {
	t.State, t.Decided = hawser.TxnCommitted, at
	for i := range t.Participants {
		p := &t.Participants[i]
		p.Acknowledged = p.Quiet
		actions = append(actions, Action{Publish, p.Agent}, Action{Leave, p.Agent})
	}
	return append(actions, Action{Kind: Announce})
}

// abort decides that nothing does. Who has not promised anything has nothing
// to acknowledge: whoever finds something prepared and no transaction, or an
// aborted one, undoes it (presumed abort).
func (t *Txn) abort(reason string, at int64) (actions []Action) {
	t.State, t.Decided, t.Reason = hawser.TxnAborted, at, reason
	for i := range t.Participants {
		p := &t.Participants[i]
		p.Acknowledged = p.Vote != hawser.VoteYes || p.Quiet
		if p.Vote == hawser.VoteYes {
			actions = append(actions, Action{Discard, p.Agent})
		}
		actions = append(actions, Action{Leave, p.Agent})
	}
	return append(actions, Action{Kind: Announce})
}

func (t *Txn) refuse(code hawser.Code, op, format string, args ...any) error {
	return refusal(code, op, t.ID, format, args...)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
