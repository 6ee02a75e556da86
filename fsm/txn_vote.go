// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/txn"
)

// VoteTxn is the vote of a participant. The last yes commits the transaction,
// unless it is manual; a no aborts it.
type VoteTxn struct {
	ID    hawser.TxnID
	Agent hawser.AgentID
	Yes   bool
	// Fence is the token of the claim under which it votes, 0 for none.
	Fence uint64
	// Reason is why it votes no.
	Reason string
	// Quiet: it has nothing to do after the decision, and acknowledges it with
	// the vote.
	Quiet bool
	// State becomes the agent's next version if the transaction commits; nil
	// leaves the agent as it is. Agent, Fence, Force and most of Request mean
	// nothing in it; Expect is the head that it was made from.
	State      *Save
	Generation uint64
}

func (*VoteTxn) kind() commandKind { return kindVoteTxn }

func (v *VoteTxn) appendBody(dst []byte) []byte {
	dst = appendBool(appendAgent(appendTxnID(dst, v.ID), v.Agent), v.Yes)
	dst = appendBool(appendBytes(binary.AppendUvarint(dst, v.Fence), v.Reason), v.Quiet)
	dst = appendBool(binary.AppendUvarint(dst, v.Generation), v.State != nil)
	if v.State != nil {
		dst = v.State.appendBody(dst)
	}
	return dst
}

func (v *VoteTxn) parseBody(r *reader) {
	v.ID, v.Agent, v.Yes, v.Fence, v.Reason, v.Quiet, v.Generation = r.txnID(), r.agent(), r.bool(), r.uvarint(), r.string(), r.bool(), r.uvarint()
	if r.bool() {
		v.State = &Save{}
		v.State.parseBody(r)
	}
}

func (v *VoteTxn) check() error {
	switch {
	case !validTxn(v.ID) || !validAgent(v.Agent):
		return invalidCommand("vote", "the transaction's id or the agent's name is not valid")
	case !v.Yes && v.State != nil:
		return invalidCommand("vote", "a no with a state")
	case v.State == nil:
		return nil
	case len(v.State.Effects) > 0:
		return invalidCommand("vote", "ends of effects are recorded with a save, not with a vote")
	case v.State.Agent != v.Agent || v.State.Expect == nil:
		return invalidCommand("vote", "the state is another agent's, or does not say from which head it was made")
	case len(v.State.Consume) > 0 || len(v.State.Emit) > 0:
		return invalidCommand("vote", "a vote consumes and sends no messages")
	}
	return v.State.check()
}

func (v *VoteTxn) ballot() txn.Ballot {
	_, epoch := hawser.SplitToken(v.Fence)
	b := txn.Ballot{Agent: v.Agent, Yes: v.Yes, Epoch: epoch, Reason: v.Reason, Quiet: v.Quiet}
	if v.State != nil {
		b.Digest = v.State.SHA256
	}
	return b
}

// apply takes a vote. What is checked, in this order: form, generation, that
// there is the transaction, deadline, repeat, fence, turn, condition, that it is
// still open, limits, parts, base and chain.
func (v *VoteTxn) apply(c *changes) (Result, error) {
	if err := v.check(); err != nil {
		return c.refuse(err)
	}
	t, refusal, err := c.knownTxn("vote", v.ID, v.Generation)
	if err != nil || refusal != nil {
		return c.answer(t, refusal, err)
	}
	ballot := v.ballot()
	if t.Repeats(ballot) {
		res := c.txnResult(t)
		res.Repeated = true
		return res, nil
	}
	a, err := c.agent(v.Agent)
	if err != nil {
		return Result{}, err
	}
	if refusal, err := c.mayVote(v, t, a); err != nil || refusal != nil {
		return c.refuseTxn(t, refusal, err)
	}
	// The deadline was looked at above, so a refusal comes without actions.
	next, actions, refusal, err := c.tryStep(t, ballot)
	if err != nil || refusal != nil {
		return c.refuseTxn(t, refusal, err)
	}
	staged := &stagedVote{txn: v.ID.ID}
	if v.State != nil {
		if staged.rec, refusal, err = c.stage(a, v, ballot.Epoch); err != nil || refusal != nil {
			return c.refuseTxn(t, refusal, err)
		}
	}
	if err := c.carryOut(t, next, actions, staged); err != nil {
		return Result{}, err
	}
	res := c.txnResult(t)
	if staged.rec != nil {
		res.Chain, err = c.chainOf(staged.rec)
	}
	return res, err
}

// refuseTxn is a refusal that says how the transaction stands.
func (c *changes) refuseTxn(t *transaction, refusal, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	res := c.txnResult(t)
	res.Err = refusal
	return res, nil
}

// mayVote is why a participant may not vote, nil when it may: its claim, then
// whose turn it is, then the head.
func (c *changes) mayVote(v *VoteTxn, t *transaction, a *agent) (refusal, err error) {
	if t.Participant(v.Agent) < 0 {
		return txnError(hawser.CodeInvalid, "vote", v.ID, "agent %q takes no part", v.Agent), nil
	}
	if _, refusal, err = c.authorise("vote", a, authority{fence: v.Fence}); err != nil || refusal != nil {
		return refusal, err
	}
	if t.State != hawser.TxnPending {
		return nil, nil // Step says so
	}
	switch {
	case a.turn != t.begun && v.Yes: // a no waits for nobody
		first, err := c.turnOf(a)
		if err != nil {
			return nil, err
		}
		return &hawser.TxnLockedError{Agent: v.Agent, Txn: first.ID, Deadline: unix(first.Deadline)}, nil
	case v.State != nil && *v.State.Expect != a.live:
		res, err := c.conflict(a, v.State.Expect)
		return res.Err, err
	}
	return nil, nil
}

// stage stores the state that came with a vote. Nothing refers to it but the
// vote.
func (c *changes) stage(a *agent, v *VoteTxn, epoch uint64) (rec *chainRecord, refusal, err error) {
	tally, err := c.tallied(v.ID.Namespace)
	if err != nil {
		return nil, nil, err
	}
	content, refusal, err := c.staged(v.State.Content)
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	if tally.staged+content.bytes > maxVotes {
		return nil, txnError(hawser.CodeOverloaded, "vote", v.ID, "votes of the namespace have staged %d bytes; repeat after a while", tally.staged), nil
	}
	var at place
	if v.State.Base == nil {
		at = c.newSegment(place{}, record.Chain{}, content)
	} else if at, refusal, err = c.storeDelta(a, v.State.Base, content); err != nil || refusal != nil {
		return nil, refusal, err
	}
	rec = v.State.record(at, content.bytes)
	rec.kind, rec.epoch, rec.txn = hawser.RequestTxn, epoch, v.ID.ID
	rec.number, rec.state, rec.parent = a.head+1, hawser.VersionLive, a.live
	return rec, nil, nil
}

// stagedVote is what an agent has staged with its vote: the transaction, and
// the version to be, nil when the state stays as it is.
type stagedVote struct {
	txn string
	rec *chainRecord
}

func (s *stagedVote) encode() []byte {
	dst := appendBytes([]byte{storedFormat}, s.txn)
	if dst = appendBool(dst, s.rec != nil); s.rec != nil {
		dst = s.rec.append(dst)
	}
	return dst
}

func parseStagedVote(b []byte) (*stagedVote, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	s := &stagedVote{txn: r.string()}
	if !r.bool() {
		return s, r.end()
	}
	if r.bad {
		return nil, errMalformed
	}
	var err error
	s.rec, err = parseChain(r.b)
	return s, err
}

// stagedBy returns what a locked agent has staged.
func (c *changes) stagedBy(id hawser.AgentID) (*stagedVote, error) {
	value, err := c.get(stagedKey(id))
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, damagedKey("staged vote", id, 0)
	}
	s, err := parseStagedVote(value)
	if err != nil {
		return nil, damagedKey("staged vote", id, 0)
	}
	return s, nil
}

// locked is why nobody may write to an agent, nil when they may.
func (c *changes) locked(a *agent) (refusal, err error) {
	if !a.locked {
		return nil, nil
	}
	staged, err := c.stagedBy(a.id)
	if err != nil {
		return nil, err
	}
	id := hawser.TxnID{Namespace: a.id.Namespace, ID: staged.txn}
	t, err := c.txn(id)
	if err == nil && t == nil {
		err = damaged("transaction "+id.String(), errMalformed)
	}
	if err != nil {
		return nil, err
	}
	return &hawser.TxnLockedError{Agent: a.id, Txn: id, Deadline: unix(t.Deadline)}, nil
}

// lock keeps what came with a yes and closes the agent.
func (c *changes) lock(t *transaction, id hawser.AgentID, vote *stagedVote) error {
	a, err := c.agent(id)
	if err != nil {
		return err
	}
	if a.locked || vote == nil {
		return damagedKey("lock", id, 0)
	}
	a.locked, a.changed = true, true
	c.put(stagedKey(id), vote.encode())
	if vote.rec == nil {
		return nil
	}
	return c.tally(t.ID.Namespace, 0, int64(vote.rec.stored))
}

// unlock opens an agent and returns what it had staged.
func (c *changes) unlock(t *transaction, id hawser.AgentID) (*agent, *chainRecord, error) {
	a, err := c.agent(id)
	if err != nil {
		return nil, nil, err
	}
	staged, err := c.stagedBy(id)
	if err != nil {
		return nil, nil, err
	}
	if !a.locked || staged.txn != t.ID.ID {
		return nil, nil, damagedKey("lock", id, 0)
	}
	a.locked, a.changed = false, true
	c.drop(stagedKey(id))
	if staged.rec != nil {
		err = c.tally(t.ID.Namespace, 0, -int64(staged.rec.stored))
	}
	return a, staged.rec, err
}

// publish makes what an agent has staged its next version.
func (c *changes) publish(t *transaction, id hawser.AgentID) error {
	a, rec, err := c.unlock(t, id)
	if err != nil || rec == nil {
		return err
	}
	if rec.number != a.head+1 || rec.parent != a.live {
		return damaged(fmt.Sprintf("version that agent %q has staged", id), errMalformed)
	}
	a.under = rec.epoch
	t.versions[t.Participant(id)] = rec.number
	_, err = c.addVersion(a, rec, false)
	return err
}

// discard forgets what an agent has staged.
func (c *changes) discard(t *transaction, id hawser.AgentID) error {
	_, rec, err := c.unlock(t, id)
	if err != nil || rec == nil {
		return err
	}
	return c.release(rec.place())
}
