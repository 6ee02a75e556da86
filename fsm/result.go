// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Result is what became of one command. It is the same on every replica.
type Result struct {
	// Err is why the command was refused, nil when it was executed: a
	// *hawser.Error or *hawser.ConflictError.
	Err error
	// Version is what a save, rollback or fork made, of a repeat what the
	// first attempt made, as it is now; of Pin and MarkBad what they changed.
	Version hawser.Version
	// Chain sums up how that version is stored, or what a vote has staged; zero
	// when it is gone.
	Chain record.Chain
	// Number is what a save or delete took in the agent's chain.
	Number uint64
	// Pruned is how many versions a Prune removed.
	Pruned uint64
	// Repeated is set when an earlier attempt had executed the command.
	Repeated bool
	// Revision is the one that the command made; of a repeat the one that the
	// first attempt made, else the machine's.
	Revision hawser.Revision
	// Time is the machine's clock when the command was executed or refused.
	Time time.Time
	// Grant is what became of an [Acquire].
	Grant *Grant
	// Claims are what the lease of a [ClaimFree] holds of the agents that it names.
	Claims []Claimed
	// Released is set when a lease, hold or place in a queue was there and is not
	// any more, More when [EndLease] is to be repeated.
	Released, More bool
	// Txn is how the transaction stands after a command that concerns one, nil
	// when there is none.
	Txn *hawser.TxnInfo
	// Message is what a [SendMessage] has sent, without labels and payload; of a
	// repeat what the first attempt has.
	Message *hawser.Message
	// Cut is what a [MakeCut] made, Rollback what a [RollbackCut] did.
	Cut      *hawser.Cut
	Rollback *hawser.RollbackReport
	// Saves are what the parts of a [SaveAll] made, in their order.
	Saves []Result
	// Effect is how the effect stands after a command that concerns one, with its
	// result; Begun is set when the caller of a [BeginEffect] may run it.
	Effect *hawser.Effect
	Begun  bool
	// Events are what the command made happen, in order, 1,000 at most; none of
	// a repeat. They must not be modified.
	Events []hawser.Event
}

func (c *changes) result() Result {
	return Result{Revision: hawser.Revision(c.state.revision), Time: unix(c.state.time)}
}

func (c *changes) refuse(err error) (Result, error) {
	res := c.result()
	res.Err = err
	return res, nil
}

// conflict is a refusal because a's head is not the one expected.
func (c *changes) conflict(a *agent, expected *uint64) (Result, error) {
	e := &hawser.ConflictError{Agent: a.id, Expected: expected}
	if a.live != 0 {
		rec, err := c.record(a.id, a.live)
		if err != nil {
			return Result{}, err
		}
		if rec == nil {
			return Result{}, damagedKey("record", a.id, a.live)
		}
		e.Head = rec.version(a.id)
	}
	return c.refuse(e)
}

func wrongGeneration(op string, id hawser.AgentID, asked, have uint64) error {
	return &hawser.Error{
		Code: hawser.CodeWrongGeneration, Op: op, Key: id.String(),
		Msg: fmt.Sprintf("the request is of generation %d, the cluster of %d; restore the head, then decide", asked, have),
	}
}

func expired(op string, id hawser.AgentID) error {
	return &hawser.Error{
		Code: hawser.CodeRequestExpired, Op: op, Key: id.String(),
		Msg: "nobody can tell any more whether an earlier attempt was executed; restore the head, then decide",
	}
}

func unseen(op string, id hawser.AgentID, seen, head uint64) error {
	return &hawser.Error{
		Code: hawser.CodeInvalid, Op: op, Key: id.String(),
		Msg: fmt.Sprintf("the request says that it saw number %d, and the newest is %d", seen, head),
	}
}

func mismatch(op string, id hawser.AgentID, number uint64) error {
	return &hawser.Error{
		Code: hawser.CodeRequestMismatch, Op: op, Key: id.String(),
		Msg: fmt.Sprintf("it made number %d with other content or another condition", number),
	}
}

func notFound(op string, id hawser.AgentID, msg string) error {
	return &hawser.Error{Code: hawser.CodeNotFound, Op: op, Key: id.String(), Msg: msg}
}

func invalidCommand(op, msg string) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: op, Msg: msg}
}

// damagedKey is a stored value that cannot be what was written.
func damagedKey(what string, id hawser.AgentID, number uint64) error {
	where := fmt.Sprintf("%s of agent %q", what, id)
	if number != 0 {
		where = fmt.Sprintf("%s %d of agent %q", what, number, id)
	}
	return damaged(where, errMalformed)
}
