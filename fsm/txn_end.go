// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// maxSweep is the most transactions of one [SweepTxns], maxSwept the most
// participants of all of them that it has to do with: each makes two events at
// most. They are frozen at the feature level that set them.
const (
	maxSweep = 256
	maxSwept = 256
)

// DecideTxn is the decision of the initiator of a manual transaction, or an
// abort by whoever has a reason, before the decision.
type DecideTxn struct {
	ID     hawser.TxnID
	Commit bool
	// Reason of an abort.
	Reason     string
	Generation uint64
}

// AcknowledgeTxn says that a participant has done what the decision says.
// Result.Released is false when that was known.
type AcknowledgeTxn struct {
	ID    hawser.TxnID
	Agent hawser.AgentID
	// Committed says what it has done.
	Committed bool
	// Fence is as in [Save].
	Fence      uint64
	Generation uint64
}

// ResolveTxn says that in the place of a participant that nobody owns now.
type ResolveTxn struct {
	ID         hawser.TxnID
	Agent      hawser.AgentID
	Reason     string
	Generation uint64
}

// ForgetTxn removes a transaction that was kept for somebody to look at.
type ForgetTxn struct {
	ID         hawser.TxnID
	Generation uint64
}

// SweepTxns aborts transactions that are past their deadline and removes those
// that are done and past it. Result.Pruned counts both, Result.More says that
// it did not come to all of them.
type SweepTxns struct {
	IDs []hawser.TxnID
}

func (*DecideTxn) kind() commandKind      { return kindDecideTxn }
func (*AcknowledgeTxn) kind() commandKind { return kindAcknowledgeTxn }
func (*ResolveTxn) kind() commandKind     { return kindResolveTxn }
func (*ForgetTxn) kind() commandKind      { return kindForgetTxn }
func (*SweepTxns) kind() commandKind      { return kindSweepTxns }

func (d *DecideTxn) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(appendBytes(appendBool(appendTxnID(dst, d.ID), d.Commit), d.Reason), d.Generation)
}

func (d *DecideTxn) parseBody(r *reader) {
	d.ID, d.Commit, d.Reason, d.Generation = r.txnID(), r.bool(), r.string(), r.uvarint()
}

func (a *AcknowledgeTxn) appendBody(dst []byte) []byte {
	dst = appendBool(appendAgent(appendTxnID(dst, a.ID), a.Agent), a.Committed)
	return binary.AppendUvarint(binary.AppendUvarint(dst, a.Fence), a.Generation)
}

func (a *AcknowledgeTxn) parseBody(r *reader) {
	a.ID, a.Agent, a.Committed, a.Fence, a.Generation = r.txnID(), r.agent(), r.bool(), r.uvarint(), r.uvarint()
}

func (q *ResolveTxn) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(appendBytes(appendAgent(appendTxnID(dst, q.ID), q.Agent), q.Reason), q.Generation)
}

func (q *ResolveTxn) parseBody(r *reader) {
	q.ID, q.Agent, q.Reason, q.Generation = r.txnID(), r.agent(), r.string(), r.uvarint()
}

func (f *ForgetTxn) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(appendTxnID(dst, f.ID), f.Generation)
}

func (f *ForgetTxn) parseBody(r *reader) { f.ID, f.Generation = r.txnID(), r.uvarint() }

func (s *SweepTxns) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.IDs)))
	for _, id := range s.IDs {
		dst = appendTxnID(dst, id)
	}
	return dst
}

func (s *SweepTxns) parseBody(r *reader) {
	for range r.count(2) {
		s.IDs = append(s.IDs, r.txnID())
	}
}

// knownTxn returns a transaction that is there, or why not. Past its deadline it
// is decided: whatever is done to it then finds it so.
func (c *changes) knownTxn(op string, id hawser.TxnID, generation uint64) (t *transaction, refusal, err error) {
	if !validTxn(id) {
		return nil, invalidCommand(op, "the transaction's id is not valid"), nil
	}
	if generation != 0 && generation != c.state.generation {
		return nil, otherGeneration(op, id.String(), generation, c.state.generation), nil
	}
	t, err = c.txn(id)
	switch {
	case err != nil:
		return nil, nil, err
	case t == nil:
		return nil, unknownTxn(op, id), nil
	}
	_, err = c.step(t, txn.Expire{})
	return t, nil, err
}

// apply decides. What is checked, in this order: form, generation, that there is
// the transaction, deadline, that it is not decided otherwise.
func (d *DecideTxn) apply(c *changes) (Result, error) {
	t, refusal, err := c.knownTxn("decide", d.ID, d.Generation)
	if err == nil && refusal == nil {
		refusal, err = c.step(t, txn.Decide{Commit: d.Commit, Reason: d.Reason})
	}
	return c.answer(t, refusal, err)
}

// answer is the result of a command that may have been refused.
func (c *changes) answer(t *transaction, refusal, err error) (Result, error) {
	switch {
	case err != nil:
		return Result{}, err
	case t == nil:
		return c.refuse(refusal)
	}
	return c.refuseTxn(t, refusal, nil)
}

// apply acknowledges. What is checked, in this order: form, generation, that
// there is the transaction, deadline, repeat, fence, that there is a decision.
func (a *AcknowledgeTxn) apply(c *changes) (Result, error) {
	if !validAgent(a.Agent) {
		return c.refuse(invalidCommand("acknowledge", "the agent's name is not valid"))
	}
	t, refusal, err := c.knownTxn("acknowledge", a.ID, a.Generation)
	if err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	if i := t.Participant(a.Agent); i >= 0 && t.Participants[i].Acknowledged {
		return c.answer(t, nil, nil)
	}
	owner, err := c.agent(a.Agent)
	if err != nil {
		return Result{}, err
	}
	if _, refusal, err = c.authorise("acknowledge", owner, authority{fence: a.Fence}); err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	if refusal, err = c.step(t, txn.Acknowledge{Agent: a.Agent, Committed: a.Committed}); err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	res := c.txnResult(t)
	res.Released = true
	return res, c.openDecision(a.Agent, t, -1)
}

// apply acknowledges in the place of somebody who cannot. What is checked, in
// this order: form, generation, that there is the transaction, deadline, repeat,
// that nobody owns the agent, that there is a decision.
func (q *ResolveTxn) apply(c *changes) (Result, error) {
	if !validAgent(q.Agent) {
		return c.refuse(invalidCommand("resolve", "the agent's name is not valid"))
	}
	t, refusal, err := c.knownTxn("resolve", q.ID, q.Generation)
	if err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	if i := t.Participant(q.Agent); i >= 0 && t.Participants[i].Acknowledged {
		return c.answer(t, nil, nil)
	}
	r, err := c.resource(claimOf(q.Agent))
	if err != nil {
		return Result{}, err
	}
	if live := r.live(); live != nil {
		return c.answer(t, txnError(hawser.CodeRefused, "resolve", q.ID, "%q owns agent %q and can acknowledge it itself; end its claim first", live.instance, q.Agent), nil)
	}
	if refusal, err = c.step(t, txn.Resolve{Agent: q.Agent, Reason: q.Reason}); err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	c.emit(hawser.Event{Kind: hawser.EventTxnResolved, Name: q.Agent, Txn: t.ID.ID, Reason: q.Reason})
	res := c.txnResult(t)
	res.Released = true
	return res, c.openDecision(q.Agent, t, -1)
}

// apply forgets. What is checked, in this order: form, generation, that there is
// the transaction, that it is done and past its deadline.
func (f *ForgetTxn) apply(c *changes) (Result, error) {
	t, refusal, err := c.knownTxn("forget", f.ID, f.Generation)
	if err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	switch {
	case !t.Done():
		refusal = txnError(hawser.CodeRefused, "forget", f.ID, "it is %s and not done", t.State)
	case c.state.time < t.Deadline:
		refusal = txnError(hawser.CodeRefused, "forget", f.ID, "its beginning could still be repeated, until %s", unix(t.Deadline).Format("15:04:05Z"))
	}
	if refusal != nil {
		return c.answer(t, refusal, nil)
	}
	c.revise()
	res := c.txnResult(t)
	c.remove(t)
	res.Revision = hawser.Revision(c.state.revision)
	return res, nil
}

// apply does what is due. It never refuses what is not, but leaves it.
func (s *SweepTxns) apply(c *changes) (Result, error) {
	if len(s.IDs) > maxSweep {
		return c.refuse(invalidCommand("sweep", fmt.Sprintf("more than %d transactions", maxSweep)))
	}
	for _, id := range s.IDs {
		if !validTxn(id) {
			return c.refuse(invalidCommand("sweep", "a transaction's id is not valid"))
		}
	}
	var pruned uint64
	more, left := false, maxSwept
	for _, id := range s.IDs {
		t, err := c.txn(id)
		if err != nil {
			return Result{}, err
		}
		if t == nil || c.state.time < t.Deadline {
			continue
		}
		if more = left < len(t.Participants); more {
			break
		}
		switch {
		case !t.State.Decided():
			left -= len(t.Participants)
			if _, err := c.step(t, txn.Expire{}); err != nil {
				return Result{}, err
			}
		case t.Done() && !t.Kept():
			c.remove(t)
		default:
			continue
		}
		pruned++
	}
	res := c.result()
	res.Pruned, res.More = pruned, more
	return res, nil
}
