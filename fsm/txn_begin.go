// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// BeginTxn begins a transaction and puts it into the queue of every
// participant. A repeat changes nothing; the same id with anything else is
// refused with hawser.ErrRequestMismatch.
type BeginTxn struct {
	ID           hawser.TxnID
	Participants []TxnTask
	// Manual leaves the decision to [DecideTxn] once all have voted yes.
	Manual bool
	// Deadline is machine time, in unix nanoseconds. It is fixed at the first
	// attempt, so that a repeat that comes later than that is refused.
	Deadline   int64
	Generation uint64
}

// TxnTask is what a participant is asked to do.
type TxnTask struct {
	Agent   hawser.AgentID
	Payload []byte
}

func (*BeginTxn) kind() commandKind { return kindBeginTxn }

func (b *BeginTxn) appendBody(dst []byte) []byte {
	dst = appendBool(appendTxnID(dst, b.ID), b.Manual)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(b.Deadline)), b.Generation)
	dst = binary.AppendUvarint(dst, uint64(len(b.Participants)))
	for _, p := range b.Participants {
		dst = appendBytes(appendAgent(dst, p.Agent), p.Payload)
	}
	return dst
}

func (b *BeginTxn) parseBody(r *reader) {
	// A deadline below 0 is one that has passed, not an entry that nobody can read.
	b.ID, b.Manual, b.Deadline, b.Generation = r.txnID(), r.bool(), int64(r.uvarint()), r.uvarint()
	for range r.count(3) {
		b.Participants = append(b.Participants, TxnTask{Agent: r.agent(), Payload: r.bytes()})
	}
}

func appendTxnID(dst []byte, id hawser.TxnID) []byte {
	return appendBytes(appendBytes(dst, id.Namespace), id.ID)
}

func (r *reader) txnID() hawser.TxnID { return hawser.TxnID{Namespace: r.string(), ID: r.string()} }

func (b *BeginTxn) check() error {
	if !validTxn(b.ID) {
		return invalidCommand("begin transaction", "its id is not valid")
	}
	size := 0
	for _, p := range b.Participants {
		if !validAgent(p.Agent) {
			return txnError(hawser.CodeInvalid, "begin transaction", b.ID, "the name of a participant is not valid")
		}
		size += len(p.Payload)
	}
	if size > maxTxnPayload {
		return txnError(hawser.CodeTooLarge, "begin transaction", b.ID, "its payloads have %d bytes, %d are possible", size, maxTxnPayload)
	}
	return nil
}

// apply begins a transaction. What is checked, in this order: form, generation,
// repeat, deadline, that the participants are there, limits.
func (b *BeginTxn) apply(c *changes) (Result, error) {
	if err := b.check(); err != nil {
		return c.refuse(err)
	}
	if g := b.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("begin transaction", b.ID.String(), g, c.state.generation))
	}
	digest := hawser.Hash(sha256.Sum256((&BeginTxn{ID: b.ID, Participants: b.Participants, Manual: b.Manual, Deadline: b.Deadline}).appendBody(nil)))
	t, err := c.txn(b.ID)
	switch {
	case err != nil:
		return Result{}, err
	case t != nil && t.digest != digest:
		return c.refuse(txnError(hawser.CodeRequestMismatch, "begin transaction", b.ID, "one with other participants, payloads or another deadline has the id"))
	case t != nil:
		if _, err := c.step(t, txn.Expire{}); err != nil {
			return Result{}, err
		}
		res := c.txnResult(t)
		res.Repeated = true
		return res, nil
	}
	agents := make([]hawser.AgentID, len(b.Participants))
	for i, p := range b.Participants {
		agents[i] = p.Agent
	}
	begun, refusal := txn.Begin(b.ID, agents, b.Manual, b.Deadline, c.state.time)
	if refusal != nil {
		return c.refuse(refusal)
	}
	if refusal, err = c.participants(b); err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	return c.begun(b, begun, digest)
}

// participants is why the agents cannot take part, nil when they can.
func (c *changes) participants(b *BeginTxn) (refusal, err error) {
	tally, err := c.tallied(b.ID.Namespace)
	if err != nil {
		return nil, err
	}
	if tally.open >= maxOpenTxns {
		return txnError(hawser.CodeOverloaded, "begin transaction", b.ID, "%d transactions of the namespace are not done", tally.open), nil
	}
	for _, p := range b.Participants {
		a, err := c.agent(p.Agent)
		if err != nil {
			return nil, err
		}
		switch {
		case a.live == 0 && !a.busy:
			return notFound("begin transaction", p.Agent, "there is no such agent, so it cannot take part"), nil
		case a.queued >= maxQueued:
			return txnError(hawser.CodeOverloaded, "begin transaction", b.ID, "%d transactions wait for agent %q", a.queued, p.Agent), nil
		}
	}
	return nil, nil
}

func (c *changes) begun(b *BeginTxn, begun txn.Txn, digest hawser.Hash) (Result, error) {
	c.revise()
	t, known := c.txns[b.ID] // one that was removed in this batch is in the way
	if !known {
		t = &transaction{}
		t.ID = b.ID
		c.addTxn(t)
	}
	t.txnRecord, t.changed = txnRecord{Txn: begun, digest: digest, begun: c.state.revision, versions: make([]uint64, len(begun.Participants))}, true
	for i, p := range b.Participants {
		a, err := c.agent(p.Agent)
		if err != nil {
			return Result{}, err
		}
		if a.queued == 0 {
			a.turn = t.begun
		}
		a.queued, a.changed = a.queued+1, true
		c.putListed(queueKey(p.Agent, t.begun), []byte(b.ID.ID))
		if len(p.Payload) > 0 {
			c.key = payloadKey(c.key[:0], b.ID, uint32(i))
			c.batch.Set(c.key, p.Payload)
		}
		c.emit(hawser.Event{Kind: hawser.EventTxnBegun, Name: p.Agent, Txn: b.ID.ID})
	}
	c.putListed(dueKey(t.Deadline, t.ID), []byte{storedFormat})
	return c.txnResult(t), c.tally(b.ID.Namespace, 1, 0)
}

// txnResult is the result of a command that concerns a transaction.
func (c *changes) txnResult(t *transaction) Result {
	res := c.result()
	info := t.info()
	res.Txn = &info
	return res
}
