// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/txn"
)

// Rules of transactions that are frozen at the feature level that set them.
const (
	maxTxnID      = 64
	maxTxnPayload = 128 << 10
	maxOpenTxns   = 10_000
	maxQueued     = 1_000
	maxVotes      = 1 << 30
)

// transaction is a transaction while a batch is applied.
type transaction struct {
	txnRecord
	// stored is set when the engine or the batch has a record of it; one with changed and
	// without begun is removed.
	stored, changed bool
}

// txnRecord is what the machine keeps of a transaction.
type txnRecord struct {
	txn.Txn
	// digest is of what was begun, so that another beginning is told from a
	// repeat.
	digest hawser.Hash
	// begun is the revision of the beginning, which orders the queues; decided
	// that of the decision, 0 before.
	begun, decided uint64
	// versions are what the participants' states became, 0 for none.
	versions []uint64
}

func (t *txnRecord) append(dst []byte) []byte {
	dst = appendBytes(appendBytes(append(dst, storedFormat), t.ID.Namespace), t.ID.ID)
	dst = append(append(appendBool(dst, t.Manual), byte(t.State)), t.digest[:]...)
	for _, v := range [...]uint64{uint64(t.Begun), uint64(t.Deadline), uint64(t.Decided), t.begun, t.decided} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendUvarint(appendBytes(dst, t.Reason), uint64(len(t.Participants)))
	for i := range t.Participants {
		p := &t.Participants[i]
		dst = append(appendBytes(dst, p.Agent.Name), byte(p.Vote))
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, p.Epoch), t.versions[i])
		dst = appendBytes(append(dst, p.Digest[:]...), p.Reason)
		dst = appendBool(appendBool(appendBool(dst, p.Quiet), p.Acknowledged), p.Resolved)
	}
	return dst
}

// minParticipant is the fewest bytes that a participant takes.
const minParticipant = 1 + 1 + 1 + 1 + 32 + 1 + 3

func parseTxn(b []byte) (txnRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return txnRecord{}, errMalformed
	}
	t := txnRecord{}
	t.ID = hawser.TxnID{Namespace: r.string(), ID: r.string()}
	t.Manual, t.State, t.digest = r.bool(), hawser.TxnState(r.byte()), r.hash()
	t.Begun, t.Deadline, t.Decided, t.begun, t.decided = r.int63(), r.int63(), r.int63(), r.uvarint(), r.uvarint()
	t.Reason = r.string()
	n := r.count(minParticipant)
	t.Participants, t.versions = make([]txn.Participant, n), make([]uint64, n)
	for i := range t.Participants {
		p := &t.Participants[i]
		p.Agent = hawser.AgentID{Namespace: t.ID.Namespace, Name: r.string()}
		p.Vote, p.Epoch, t.versions[i] = hawser.Vote(r.byte()), r.uvarint(), r.uvarint()
		p.Digest, p.Reason = r.hash(), r.string()
		p.Quiet, p.Acknowledged, p.Resolved = r.bool(), r.bool(), r.bool()
	}
	if err := r.end(); err != nil {
		return txnRecord{}, err
	}
	return t, t.Check()
}

// txn returns a transaction as the batch has left it so far, nil when there is
// none.
func (c *changes) txn(id hawser.TxnID) (*transaction, error) {
	if t, ok := c.txns[id]; ok {
		if t.begun == 0 {
			return nil, nil //nolint:nilnil // nil says that there is none, as documented
		}
		return t, nil
	}
	rec, ok, err := readTxn(c.src, txnKey(nil, id), id)
	if err != nil || !ok {
		return nil, err
	}
	t := &transaction{txnRecord: rec, stored: true}
	c.addTxn(t)
	return t, nil
}

func (c *changes) addTxn(t *transaction) {
	if c.txns == nil {
		c.txns = make(map[hawser.TxnID]*transaction)
	}
	c.txns[t.ID] = t
	c.txnOrder = append(c.txnOrder, t)
}

func readTxn(src source, key []byte, id hawser.TxnID) (txnRecord, bool, error) {
	value, ok, err := src.Get(key)
	if err != nil || !ok {
		return txnRecord{}, false, err
	}
	rec, err := parseTxn(value)
	if err == nil && rec.ID != id {
		err = errMalformed
	}
	if err != nil {
		return txnRecord{}, false, damaged("transaction "+id.String(), err)
	}
	return rec, true, nil
}

func (c *changes) finishTxns() {
	for _, t := range c.txnOrder {
		if !t.changed {
			continue
		}
		c.key = txnKey(c.key[:0], t.ID)
		if t.begun != 0 {
			c.value = t.append(c.value[:0])
			c.batch.Set(c.key, c.value)
		} else if t.stored {
			c.batch.Delete(c.key)
		}
		t.stored, t.changed = t.begun != 0, false
	}
}

// step takes an input, not a vote, into a transaction and does what follows from
// it.
func (c *changes) step(t *transaction, in txn.Input) (refusal, err error) {
	next, actions, refusal, err := c.tryStep(t, in)
	if err != nil {
		return nil, err
	}
	if err := c.carryOut(t, next, actions, nil); err != nil {
		return nil, err
	}
	return refusal, nil
}

// tryStep is txn.Step, whose errors are refusals but for a broken invariant.
func (c *changes) tryStep(t *transaction, in txn.Input) (next txn.Txn, actions []txn.Action, refusal, err error) {
	next, actions, refusal = txn.Step(t.Txn, in, c.state.time)
	if _, ok := errors.AsType[*hawser.Error](refusal); refusal != nil && !ok {
		return next, nil, nil, halt.Wrap(halt.Damaged, "transaction", refusal)
	}
	return next, actions, refusal, nil
}

// carryOut makes next of a transaction. Vote is what came with a yes, nil with
// everything else.
func (c *changes) carryOut(t *transaction, next txn.Txn, actions []txn.Action, vote *stagedVote) error {
	changed := len(actions) > 0
	for i := range next.Participants {
		changed = changed || next.Participants[i] != t.Participants[i]
	}
	if !changed {
		return nil
	}
	wasDecided := t.State.Decided()
	c.revise()
	t.Txn, t.changed = next, true
	if t.State.Decided() && !wasDecided {
		t.decided = c.state.revision
	}
	for _, action := range actions {
		if err := c.act(t, action, vote); err != nil {
			return err
		}
	}
	// Due at its deadline: what is not decided, and what is over.
	decided, over := t.State.Decided() && !wasDecided, t.Done() && !t.Kept()
	switch {
	case decided && !over:
		c.drop(dueKey(t.Deadline, t.ID))
	case over && !decided:
		c.putListed(dueKey(t.Deadline, t.ID), []byte{storedFormat})
	}
	if decided {
		for i := range t.Participants {
			if p := &t.Participants[i]; !p.Acknowledged {
				if err := c.openDecision(p.Agent, t, 1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// openDecision notes that an agent has to acknowledge a decision (1), or has
// (-1).
func (c *changes) openDecision(id hawser.AgentID, t *transaction, by int64) error {
	a, err := c.agent(id)
	if err != nil {
		return err
	}
	a.open, a.changed = a.open+uint64(by), true
	if key := openKey(id, t.decided); by > 0 {
		c.putListed(key, []byte(t.ID.ID))
	} else {
		c.drop(key)
	}
	return nil
}

func (c *changes) act(t *transaction, action txn.Action, vote *stagedVote) error {
	switch action.Kind {
	case txn.Lock:
		return c.lock(t, action.Agent, vote)
	case txn.Publish:
		return c.publish(t, action.Agent)
	case txn.Discard:
		return c.discard(t, action.Agent)
	case txn.Leave:
		return c.leaveQueue(t, action.Agent)
	case txn.Announce:
		c.announce(t)
	case txn.Finish:
		return c.tally(t.ID.Namespace, -1, 0)
	}
	return nil
}

// leaveQueue makes it the next transaction's turn, if it was this one's.
func (c *changes) leaveQueue(t *transaction, id hawser.AgentID) error {
	a, err := c.agent(id)
	if err != nil {
		return err
	}
	if a.queued == 0 {
		return damagedKey("queue of transactions", id, 0)
	}
	a.queued, a.changed = a.queued-1, true
	c.drop(queueKey(id, t.begun))
	if a.turn != t.begun {
		return nil
	}
	a.turn = 0
	if a.queued == 0 {
		return nil
	}
	lower := queueKey(id, t.begun)
	err = c.scan(lower, keyAfter(lower[:len(lower)-8]), func(key, _ []byte) (bool, error) {
		a.turn = binary.BigEndian.Uint64(key[len(key)-8:])
		return false, nil
	})
	if err == nil && a.turn == 0 {
		err = damagedKey("queue of transactions", id, 0)
	}
	return err
}

// announce tells every participant of the state, or of a state that only the
// initiator waits for the first of them.
func (c *changes) announce(t *transaction) {
	kind := hawser.EventTxnCommitted
	switch t.State {
	case hawser.TxnPrepared:
		c.emit(hawser.Event{Kind: hawser.EventTxnPrepared, Name: t.Participants[0].Agent, Txn: t.ID.ID})
		return
	case hawser.TxnAborted:
		kind = hawser.EventTxnAborted
	case hawser.TxnPending, hawser.TxnCommitted:
	}
	for i := range t.Participants {
		p := &t.Participants[i]
		e := hawser.Event{Kind: kind, Name: p.Agent, Txn: t.ID.ID, Number: t.versions[i], Reason: t.Reason}
		if p.Epoch != 0 {
			e.Token = c.token(p.Epoch)
		}
		c.emit(e)
	}
}

// turnOf returns the transaction whose turn it is at an agent that has some in
// its queue.
func (c *changes) turnOf(a *agent) (*transaction, error) {
	value, err := c.get(queueKey(a.id, a.turn))
	if err != nil {
		return nil, err
	}
	t, err := c.txn(hawser.TxnID{Namespace: a.id.Namespace, ID: string(value)})
	if err == nil && t == nil {
		err = damagedKey("queue of transactions", a.id, 0)
	}
	return t, err
}

// tallyRecord counts a namespace's transactions that are not done, and the
// bytes that votes have staged there.
type tallyRecord struct{ open, staged uint64 }

func (t tallyRecord) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{storedFormat}, t.open), t.staged)
}

func parseTally(b []byte) (tallyRecord, error) {
	if b == nil {
		return tallyRecord{}, nil
	}
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return tallyRecord{}, errMalformed
	}
	return tallyRecord{open: r.uvarint(), staged: r.uvarint()}, r.end()
}

func tallyKey(namespace string) []byte { return append([]byte{prefixTally}, namespace...) }

func (c *changes) tallied(namespace string) (tallyRecord, error) {
	value, err := c.get(tallyKey(namespace))
	if err != nil {
		return tallyRecord{}, err
	}
	rec, err := parseTally(value)
	if err != nil {
		return tallyRecord{}, damaged("counters of namespace "+namespace, err)
	}
	return rec, nil
}

// tally changes the counters of a namespace. They stay when they are zero: a
// key that is deleted and set by turns is slow to read, since the engine passes
// over all that it was.
func (c *changes) tally(namespace string, open, staged int64) error {
	rec, err := c.tallied(namespace)
	if err != nil {
		return err
	}
	rec.open, rec.staged = rec.open+uint64(open), rec.staged+uint64(staged)
	c.put(tallyKey(namespace), rec.encode())
	return nil
}

// remove forgets a transaction.
func (c *changes) remove(t *transaction) {
	c.drop(dueKey(t.Deadline, t.ID))
	for i := range t.Participants {
		c.key = payloadKey(c.key[:0], t.ID, uint32(i))
		c.batch.Delete(c.key)
	}
	t.begun, t.changed = 0, true
}

func txnKey(dst []byte, id hawser.TxnID) []byte {
	return agentKey(dst, prefixTxn, hawser.AgentID{Namespace: id.Namespace, Name: id.ID})
}

func splitTxnKey(key []byte) (hawser.TxnID, bool) {
	id, ok := splitAgentKey(key)
	return hawser.TxnID{Namespace: id.Namespace, ID: id.Name}, ok
}

func payloadKey(dst []byte, id hawser.TxnID, index uint32) []byte {
	dst = agentKey(dst, prefixPayload, hawser.AgentID{Namespace: id.Namespace, Name: id.ID})
	return binary.BigEndian.AppendUint32(append(dst, 0), index)
}

func queueKey(agent hawser.AgentID, begun uint64) []byte {
	return binary.BigEndian.AppendUint64(append(agentKey(nil, prefixQueue, agent), 0), begun)
}

func dueKey(at int64, id hawser.TxnID) []byte {
	dst := binary.BigEndian.AppendUint64([]byte{prefixDue}, uint64(at))
	return append(append(append(dst, id.Namespace...), 0), id.ID...)
}

// splitDueKey is the reverse of dueKey.
func splitDueKey(key []byte) (id hawser.TxnID, ok bool) {
	if len(key) < 9 {
		return id, false
	}
	return splitTxnKey(key[8:]) // the last byte of the time stands where a prefix would
}

// openKey is unique: of what is decided at one revision an agent has promised
// something in one transaction at most.
func openKey(agent hawser.AgentID, decided uint64) []byte {
	return binary.BigEndian.AppendUint64(append(agentKey(nil, prefixOpen, agent), 0), decided)
}

func stagedKey(agent hawser.AgentID) []byte { return agentKey(nil, prefixStaged, agent) }

func validTxn(id hawser.TxnID) bool {
	return validPart(id.Namespace) && validPart(id.ID) && len(id.ID) <= maxTxnID
}

func unknownTxn(op string, id hawser.TxnID) error {
	return &hawser.Error{
		Code: hawser.CodeNotFound, Op: op, Key: id.String(),
		Msg: "there is no such transaction, or not any more: it was never begun, or is over",
	}
}

func txnError(code hawser.Code, op string, id hawser.TxnID, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: op, Key: id.String(), Msg: fmt.Sprintf(format, args...)}
}
