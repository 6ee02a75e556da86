// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"time"

	"github.com/hawserdb/hawser"
)

// info describes a transaction, but for whom its participants wait for.
func (t *txnRecord) info() hawser.TxnInfo {
	info := hawser.TxnInfo{
		ID: t.ID, State: t.State, Done: t.Done(), Manual: t.Manual, BegunAt: unix(t.Begun), DeadlineAt: unix(t.Deadline),
		Reason: t.Reason, Revision: hawser.Revision(t.decided), Kept: t.Kept(), Participants: make([]hawser.TxnParticipant, len(t.Participants)),
	}
	if t.Decided != 0 {
		info.DecidedAt = unix(t.Decided)
	}
	for i := range t.Participants {
		p := &t.Participants[i]
		info.Participants[i] = hawser.TxnParticipant{
			Agent: p.Agent, Vote: p.Vote, Reason: p.Reason, Epoch: p.Epoch, Version: t.versions[i], Acknowledged: p.Acknowledged, Resolved: p.Resolved,
		}
	}
	return info
}

func (v *View) txn(id hawser.TxnID) (txnRecord, error) {
	if !validTxn(id) {
		return txnRecord{}, invalidCommand("transaction", "its id is not valid")
	}
	if v.state.importing {
		return txnRecord{}, errImporting()
	}
	rec, ok, err := readTxn(v.snap, txnKey(nil, id), id)
	if err == nil && !ok {
		err = unknownTxn("transaction", id)
	}
	return rec, err
}

// Txn describes a transaction. One that is not there was never begun, or is
// over: hawser.ErrNotFound.
func (v *View) Txn(id hawser.TxnID) (hawser.TxnInfo, error) {
	rec, err := v.txn(id)
	if err != nil {
		return hawser.TxnInfo{}, err
	}
	return v.explain(&rec)
}

// explain adds whom the participants wait for.
func (v *View) explain(rec *txnRecord) (hawser.TxnInfo, error) {
	info := rec.info()
	for i := range info.Participants {
		p := &info.Participants[i]
		if rec.State != hawser.TxnPending || p.Vote != hawser.VoteNone {
			continue
		}
		first, err := v.firstTxn(p.Agent)
		if err != nil {
			return hawser.TxnInfo{}, err
		}
		if first != rec.ID {
			p.Waiting = first
		}
	}
	return info, nil
}

// firstTxn names the transaction whose turn it is at an agent, zero for none.
func (v *View) firstTxn(agent hawser.AgentID) (hawser.TxnID, error) {
	rec, err := v.known(agent)
	if err != nil || rec.turn == 0 {
		return hawser.TxnID{}, err
	}
	return v.turnOf(agent, rec)
}

// turnOf is firstTxn for an agent that has some in its queue.
func (v *View) turnOf(agent hawser.AgentID, rec agentRecord) (hawser.TxnID, error) {
	value, ok, err := v.snap.Get(queueKey(agent, rec.turn))
	if err == nil && !ok {
		err = damagedKey("queue of transactions", agent, 0)
	}
	return hawser.TxnID{Namespace: agent.Namespace, ID: string(value)}, err
}

// Txns lists the transactions of a namespace in the order of their ids: those
// after one, and at most limit of them (0 for hawser.DefaultPage, never more than
// hawser.MaxPage).
func (v *View) Txns(namespace, after string, limit int) ([]hawser.TxnInfo, error) {
	if !validPart(namespace) || after != "" && !validPart(after) {
		return nil, invalidCommand("transactions", "a name is not valid")
	}
	limit = page(limit)
	lower := txnKey(nil, hawser.TxnID{Namespace: namespace})
	upper := keyAfterPrefix(append(append([]byte{prefixTxn}, namespace...), 0))
	if after != "" {
		lower = append(txnKey(nil, hawser.TxnID{Namespace: namespace, ID: after}), 0)
	}
	var infos []hawser.TxnInfo
	err := v.scan(lower, upper, func(key, value []byte) (bool, error) {
		id, ok := splitTxnKey(key)
		rec, err := parseTxn(value)
		if !ok || err != nil || rec.ID != id {
			return false, damaged("transaction "+id.String(), errMalformed)
		}
		info, err := v.explain(&rec)
		infos = append(infos, info)
		return len(infos) < limit, err
	})
	return infos, err
}

// DueTxns lists transactions that [SweepTxns] has to do with at a moment of the
// cluster's clock, at most 256, of those whose deadline is not before from.
func (v *View) DueTxns(from, now time.Time) ([]hawser.TxnID, error) {
	var ids []hawser.TxnID
	lower, upper := []byte{prefixDue}, dueKey(now.UnixNano(), hawser.TxnID{})[:9]
	if !from.IsZero() {
		lower = dueKey(from.UnixNano(), hawser.TxnID{})[:9]
	}
	err := v.scan(lower, keyAfter(upper), func(key, _ []byte) (bool, error) {
		id, ok := splitDueKey(key)
		if !ok {
			return false, damaged("time of a transaction", errMalformed)
		}
		ids = append(ids, id)
		return len(ids) < maxSweep, nil
	})
	return ids, err
}

// TxnWork is what an agent's owner has to do for transactions.
type TxnWork struct {
	// Open are decisions that it has not acknowledged, in the order in which
	// they were made, 100 at most.
	Open []hawser.TxnInfo
	// Turn is the undecided transaction whose turn it is at the agent, nil for
	// none, and Payload what it asks for. The agent may have voted.
	Turn    *hawser.TxnInfo
	Payload []byte
	// Head is the agent's newest version, nil for none.
	Head *hawser.Version
}

const maxListedDecisions = 100

// TxnWork returns what an agent's owner has to do for transactions.
func (v *View) TxnWork(agent hawser.AgentID) (TxnWork, error) {
	if !validAgent(agent) {
		return TxnWork{}, invalidCommand("transactions", "the agent's name is not valid")
	}
	rec, err := v.known(agent)
	if err != nil {
		return TxnWork{}, err
	}
	described, err := v.describe(agent, rec)
	if err != nil {
		return TxnWork{}, err
	}
	work := TxnWork{Head: described.Version}
	if rec.open > 0 {
		work.Open, err = v.openDecisions(agent)
	}
	if err != nil || rec.queued == 0 {
		return work, err
	}
	first, err := v.turnOf(agent, rec)
	if err != nil {
		return TxnWork{}, err
	}
	t, err := v.txn(first)
	if err != nil {
		return TxnWork{}, err
	}
	info := t.info()
	work.Turn = &info
	work.Payload, _, err = v.snap.Get(payloadKey(nil, first, uint32(max(t.Participant(agent), 0))))
	return work, err
}

// Voted reports whether a vote was taken.
func (v *View) Voted(vote *VoteTxn) (bool, error) {
	rec, err := v.txn(vote.ID)
	if errors.Is(err, hawser.ErrNotFound) {
		return false, nil
	}
	return err == nil && rec.Repeats(vote.ballot()), err
}

// openDecisions are the first that an agent has not acknowledged.
func (v *View) openDecisions(agent hawser.AgentID) (open []hawser.TxnInfo, err error) {
	lower := append(agentKey(nil, prefixOpen, agent), 0)
	err = v.scan(lower, keyAfter(lower), func(_, value []byte) (bool, error) {
		t, err := v.txn(hawser.TxnID{Namespace: agent.Namespace, ID: string(value)})
		open = append(open, t.info())
		return len(open) < maxListedDecisions, err
	})
	return open, err
}
