// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
)

// Rules that are frozen: replicas of different versions must agree on what they
// refuse. All times are machine time, in unix nanoseconds.
const (
	maxParticipants = 64
	maxTimeout      = int64(600e9)
	maxReason       = 256
)

// Txn is a transaction. It is a value: [Step] returns another one and leaves
// its argument as it was.
type Txn struct {
	ID hawser.TxnID
	// Manual leaves the decision to the initiator once all have voted yes.
	Manual bool
	// Begun is before Deadline; at or past Deadline an undecided transaction is
	// aborted by whatever is done to it.
	Begun, Deadline int64
	State           hawser.TxnState
	// Decided is when it was committed or aborted, 0 before.
	Decided int64
	// Reason is why it was aborted, empty unless it was.
	Reason string
	// Participants are 1 to 64, in the order in which the initiator named them;
	// no agent twice.
	Participants []Participant
}

// Participant is an agent of a transaction.
type Participant struct {
	Agent hawser.AgentID
	// Vote is cast once.
	Vote hawser.Vote
	// Epoch is that under which it voted, 0 for none.
	Epoch uint64
	// Digest tells the content of a vote from that of another one.
	Digest hawser.Hash
	// Reason is why it voted no, or what whoever resolved it had to say.
	Reason string
	// Quiet: it has nothing left to do after the decision, and acknowledges it
	// with its vote.
	Quiet bool
	// Acknowledged: it has done what the decision says, or, when Resolved,
	// somebody answers for it.
	Acknowledged, Resolved bool
}

// Begin returns a new transaction, or why there can be none: an error that
// matches hawser.ErrInvalid or, at or past the deadline,
// hawser.ErrRequestExpired.
func Begin(id hawser.TxnID, agents []hawser.AgentID, manual bool, deadline, now int64) (Txn, error) {
	t := Txn{ID: id, Manual: manual, Begun: now, Deadline: deadline, State: hawser.TxnPending}
	refuse := func(code hawser.Code, format string, args ...any) (Txn, error) {
		return Txn{}, refusal(code, "begin transaction", t.ID, format, args...)
	}
	switch n := len(agents); {
	case n == 0:
		return refuse(hawser.CodeInvalid, "it has no participants")
	case n > maxParticipants:
		return refuse(hawser.CodeInvalid, "%d participants, %d are possible", n, maxParticipants)
	case now >= deadline:
		return refuse(hawser.CodeRequestExpired, "its deadline is past; nothing was begun now")
	case deadline-now > maxTimeout:
		return refuse(hawser.CodeInvalid, "its deadline is more than 10 minutes ahead")
	}
	seen := make(map[hawser.AgentID]bool, len(agents)) // looked up only
	for _, a := range agents {
		if seen[a] {
			return refuse(hawser.CodeInvalid, "agent %q takes part twice", a)
		}
		if a.Namespace != id.Namespace {
			return refuse(hawser.CodeInvalid, "agent %q is of another namespace", a)
		}
		seen[a] = true
		t.Participants = append(t.Participants, Participant{Agent: a})
	}
	return t, t.Check()
}

// Done reports whether it is decided and every participant has acknowledged
// that.
func (t *Txn) Done() bool {
	for i := range t.Participants {
		if !t.Participants[i].Acknowledged {
			return false
		}
	}
	return t.State.Decided()
}

// Kept reports whether it must not be removed before somebody says so: it is
// committed, and somebody answered for a participant that may not have done
// its part.
func (t *Txn) Kept() bool {
	if t.State != hawser.TxnCommitted {
		return false
	}
	for i := range t.Participants {
		if t.Participants[i].Resolved {
			return true
		}
	}
	return false
}

// Participant returns the index of an agent, -1 for one that takes no part.
func (t *Txn) Participant(agent hawser.AgentID) int {
	for i := range t.Participants {
		if t.Participants[i].Agent == agent {
			return i
		}
	}
	return -1
}

// Check returns an error that names the invariant which t breaks, nil for none.
// [Step] checks its argument and its result.
func (t *Txn) Check() error {
	votes := [3]int{}
	acknowledged, resolved := 0, 0
	for i := range t.Participants {
		p := &t.Participants[i]
		if p.Vote > hawser.VoteNo {
			return errors.New("a vote is neither yes nor no")
		}
		votes[p.Vote]++
		if p.Acknowledged {
			acknowledged++
		}
		if p.Resolved {
			resolved++
		}
		if p.Resolved && !p.Acknowledged {
			return errors.New("a participant is resolved and has not acknowledged")
		}
		if p.Vote == hawser.VoteNone && (p.Epoch != 0 || p.Quiet || p.Digest != hawser.Hash{}) {
			return errors.New("a participant that has not voted has a vote's content")
		}
		if t.Participant(p.Agent) != i {
			return errors.New("an agent takes part twice")
		}
	}
	n := len(t.Participants)
	switch {
	case n == 0 || n > maxParticipants:
		return fmt.Errorf("%d participants", n)
	case t.Begun >= t.Deadline || t.Deadline-t.Begun > maxTimeout:
		return errors.New("the deadline does not fit the beginning")
	case (t.State == hawser.TxnAborted) != (t.Reason != ""):
		return errors.New("it has a reason and was not aborted, or none and was")
	case !t.State.Decided() && t.Decided != 0:
		return errors.New("it has a time of the decision and none")
	case t.State.Decided() && t.Decided < t.Begun:
		return errors.New("it was decided before it was begun")
	}
	switch t.State {
	case hawser.TxnPending:
		if votes[hawser.VoteNo] > 0 || votes[hawser.VoteYes] == n {
			return errors.New("the votes decide it, and it is pending")
		}
	case hawser.TxnPrepared:
		if votes[hawser.VoteYes] != n || !t.Manual {
			return errors.New("it is prepared without all votes, or decides itself")
		}
	case hawser.TxnCommitted:
		if votes[hawser.VoteYes] != n {
			return errors.New("it is committed without all votes")
		}
		if t.Decided >= t.Deadline {
			return errors.New("it is committed at or past its deadline")
		}
	case hawser.TxnAborted:
		for i := range t.Participants {
			if p := &t.Participants[i]; p.Vote != hawser.VoteYes && !p.Acknowledged {
				return errors.New("it is aborted and waits for one that holds nothing")
			}
		}
	default:
		return fmt.Errorf("state %d", t.State)
	}
	if !t.State.Decided() && acknowledged > 0 {
		return errors.New("a decision is acknowledged that was not made")
	}
	return nil
}

// follows returns an error that names the rule which a step from before to t
// breaks: what was decided, voted or acknowledged stays so.
func (t *Txn) follows(before *Txn) error {
	if t.ID != before.ID || t.Manual != before.Manual || t.Begun != before.Begun || t.Deadline != before.Deadline || len(t.Participants) != len(before.Participants) {
		return errors.New("what was fixed at the beginning changed")
	}
	if before.State.Decided() && (t.State != before.State || t.Reason != before.Reason || t.Decided != before.Decided) {
		return errors.New("a decision changed")
	}
	if before.State == hawser.TxnPrepared && t.State == hawser.TxnPending {
		return errors.New("a prepared transaction became pending")
	}
	for i := range t.Participants {
		p, q := &t.Participants[i], &before.Participants[i]
		switch {
		case p.Agent != q.Agent:
			return errors.New("a participant changed")
		case q.Vote != hawser.VoteNone && (p.Vote != q.Vote || p.Epoch != q.Epoch || p.Digest != q.Digest || p.Quiet != q.Quiet):
			return errors.New("a vote changed")
		case q.Vote == hawser.VoteNone && p.Vote != hawser.VoteNone && before.State != hawser.TxnPending:
			return errors.New("a vote was taken after the votes were counted")
		case q.Acknowledged && (!p.Acknowledged || p.Resolved != q.Resolved):
			return errors.New("an acknowledgement was taken back")
		}
	}
	return nil
}

func refusal(code hawser.Code, op string, id hawser.TxnID, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: op, Key: id.String(), Msg: fmt.Sprintf(format, args...)}
}
