// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"maps"

	"github.com/hawserdb/hawser"
)

// txnChecker holds what is stored of transactions. What checkTxns has accounted
// for it takes out.
type txnChecker struct {
	txns     map[hawser.TxnID]txnRecord
	payloads map[string][]byte
	queues   map[string]string // ids by key, and so are open
	open     map[string]string
	due      map[string]bool
	staged   map[hawser.AgentID]*stagedVote
	tallies  map[string]tallyRecord
	// queued counts the undecided transactions of an agent, first is that whose
	// turn it is there.
	queued map[hawser.AgentID]uint64
	asked  map[hawser.AgentID]uint64 // decisions that are open
	first  map[hawser.AgentID]*txnRecord
}

func newTxnChecker() txnChecker {
	return txnChecker{
		txns: map[hawser.TxnID]txnRecord{}, payloads: map[string][]byte{}, queues: map[string]string{}, open: map[string]string{},
		due: map[string]bool{}, staged: map[hawser.AgentID]*stagedVote{}, tallies: map[string]tallyRecord{},
		queued: map[hawser.AgentID]uint64{}, asked: map[hawser.AgentID]uint64{}, first: map[hawser.AgentID]*txnRecord{},
	}
}

// value takes a stored value if it is of a transaction.
func (x *txnChecker) value(key, value []byte) (err error) {
	switch key[0] {
	case prefixTxn:
		id, _ := splitTxnKey(key)
		if x.txns[id], err = parseTxn(value); err == nil && x.txns[id].ID != id {
			err = errMalformed
		}
	case prefixPayload:
		x.payloads[string(key)] = value
	case prefixQueue:
		x.queues[string(key)] = string(value)
	case prefixOpen:
		x.open[string(key)] = string(value)
	case prefixDue:
		x.due[string(key)] = true
	case prefixStaged:
		id, _ := splitAgentKey(key)
		x.staged[id], err = parseStagedVote(value)
	case prefixTally:
		x.tallies[string(key[1:])], err = parseTally(value)
	}
	return err
}

// checkTxns: queues, open decisions, what is due, staged votes, payloads and
// counters are those of the transactions, and nothing else is there.
func (k *checker) checkTxns() {
	k.t.Helper()
	x, tallies := &k.txn, map[string]tallyRecord{}
	for id, t := range x.txns {
		k.checkTxn(&t)
		if tally := tallies[id.Namespace]; !t.Done() {
			tally.open++
			tallies[id.Namespace] = tally
		}
	}
	for id, s := range x.staged {
		if s.rec != nil {
			tally := tallies[id.Namespace]
			tally.staged += s.rec.stored
			tallies[id.Namespace] = tally
		}
		k.checkStaged(id, s)
	}
	maps.DeleteFunc(x.tallies, func(_ string, t tallyRecord) bool { return t == tallyRecord{} })
	k.equal(x.tallies, tallies, "counters of transactions")
	for id, a := range k.agents {
		k.equal([]uint64{a.queued, a.open}, []uint64{x.queued[id], x.asked[id]}, "%s: queued, open decisions", id)
		if first := x.first[id]; first != nil {
			k.equal(a.turn, first.begun, "%s: whose turn it is", id)
		}
		k.equal(a.locked, x.staged[id] != nil, "%s: locked", id)
		delete(x.queued, id)
	}
	k.equal(len(x.queued), 0, "queues of no agent: %v", x.queued)
	k.equal(len(x.queues)+len(x.open)+len(x.due)+len(x.payloads), 0, "left: queues %v, open %v, due %v, payloads %q", x.queues, x.open, x.due, x.payloads)
}

// checkTxn takes out what belongs to one transaction.
func (k *checker) checkTxn(t *txnRecord) {
	k.t.Helper()
	x, begin := &k.txn, &BeginTxn{ID: t.ID, Manual: t.Manual, Deadline: t.Deadline}
	decided := t.State.Decided()
	k.equal(t.begun > 0 && t.begun <= k.v.state.revision && t.decided <= k.v.state.revision, true, "%s: revisions", t.ID)
	k.equal(decided, t.decided > t.begun, "%s: decided at revision %d", t.ID, t.decided)
	for i := range t.Participants {
		p := &t.Participants[i]
		payload := string(payloadKey(nil, t.ID, uint32(i)))
		begin.Participants = append(begin.Participants, TxnTask{Agent: p.Agent, Payload: x.payloads[payload]})
		delete(x.payloads, payload)
		queue, open := string(queueKey(p.Agent, t.begun)), string(openKey(p.Agent, t.decided))
		if !decided {
			k.equal(x.queues[queue], t.ID.ID, "%s: place in the queue of %s", t.ID, p.Agent)
			x.queued[p.Agent]++
			if first := x.first[p.Agent]; first == nil || t.begun < first.begun {
				x.first[p.Agent] = t
			}
			delete(x.queues, queue)
		} else if !p.Acknowledged {
			k.equal(x.open[open], t.ID.ID, "%s: open decision of %s", t.ID, p.Agent)
			delete(x.open, open)
			x.asked[p.Agent]++
		}
		k.checkMade(t, i)
	}
	k.equal(hawser.Hash(sha256.Sum256(begin.appendBody(nil))), t.digest, "%s: digest of its beginning, with the payloads", t.ID)
	due := string(dueKey(t.Deadline, t.ID))
	k.equal(x.due[due], !decided || t.Done() && !t.Kept(), "%s: due", t.ID)
	delete(x.due, due)
}

// checkMade: the version that a participant's state became is what it voted for.
func (k *checker) checkMade(t *txnRecord, i int) {
	k.t.Helper()
	p, number := &t.Participants[i], t.versions[i]
	k.equal(number != 0, t.State == hawser.TxnCommitted && p.Digest != hawser.Hash{}, "%s: %s has a version", t.ID, p.Agent)
	for _, rec := range k.chains[p.Agent] {
		if number != 0 && rec.number == number && rec.txn == t.ID.ID {
			k.equal(rec.sha == p.Digest && uint64(rec.revision) == t.decided && rec.epoch == p.Epoch, true, "%s: version %d of %s", t.ID, number, p.Agent)
		}
	}
}

// checkStaged: what an agent has staged is of the first transaction in its
// queue, which it has voted yes in, and fits after its head.
func (k *checker) checkStaged(id hawser.AgentID, s *stagedVote) {
	k.t.Helper()
	t, a := k.txn.first[id], k.agents[id]
	if t == nil || t.ID.ID != s.txn || t.Participant(id) < 0 {
		k.t.Errorf("%s has staged a vote of %s, and its turn is %v", id, s.txn, t)
		return
	}
	p := &t.Participants[t.Participant(id)]
	k.equal(p.Vote, hawser.VoteYes, "%s: vote in %s", id, t.ID)
	if s.rec == nil {
		k.equal(p.Digest, hawser.Hash{}, "%s: digest of no state", id)
		return
	}
	k.equal(s.rec.sha, p.Digest, "%s: digest of its vote", id)
	k.equal([]any{s.rec.number, s.rec.parent, s.rec.epoch, s.rec.txn, s.rec.kind}, []any{a.head + 1, a.live, p.Epoch, t.ID.ID, hawser.RequestTxn}, "%s: staged version", id)
}
