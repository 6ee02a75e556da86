// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// modelTxn is what a transaction should be.
type modelTxn struct {
	begin        *fsm.BeginTxn
	state        hawser.TxnState
	participants []modelParticipant
	// begun and decided are revisions.
	begun, decided uint64
	kept           bool
}

type modelParticipant struct {
	agent               hawser.AgentID
	vote                hawser.Vote
	epoch               uint64
	save                *fsm.Save
	quiet, acknowledged bool
	version             uint64
}

func (t *modelTxn) participant(id hawser.AgentID) *modelParticipant {
	i := slices.IndexFunc(t.participants, func(p modelParticipant) bool { return p.agent == id })
	if i < 0 {
		return nil
	}
	return &t.participants[i]
}

func (t *modelTxn) done() bool {
	return t.state.Decided() && !slices.ContainsFunc(t.participants, func(p modelParticipant) bool { return !p.acknowledged })
}

// queue returns the undecided transactions of an agent, oldest first.
func (m *model) queue(id hawser.AgentID) (queue []*modelTxn) {
	for _, t := range m.txns {
		if !t.state.Decided() && t.participant(id) != nil {
			queue = append(queue, t)
		}
	}
	slices.SortFunc(queue, func(a, b *modelTxn) int { return cmp.Compare(a.begun, b.begun) })
	return queue
}

// locked reports whether an agent has voted yes in the first of its queue.
func (m *model) locked(id hawser.AgentID) bool {
	queue := m.queue(id)
	return len(queue) > 0 && queue[0].participant(id).vote == hawser.VoteYes
}

// transact does what a command should, and returns its code and whether it is a
// repeat. All that it does is of one revision.
func (m *model) transact(c fsm.Command, res fsm.Result) (code hawser.Code, repeated bool) {
	m.t.Helper()
	before := m.revision
	defer func() {
		m.revision = min(m.revision, before+1)
		if repeated && uint64(res.Revision) != m.revision {
			m.t.Fatalf("%T: a repeat at revision %d, expected %d", c, res.Revision, m.revision)
		}
	}()
	var id hawser.TxnID
	generation := uint64(0)
	switch c := c.(type) {
	case *fsm.BeginTxn:
		return m.begin(c)
	case *fsm.SweepTxns:
		m.sweep(c, res)
		return hawser.CodeOK, false
	case *fsm.VoteTxn:
		id, generation = c.ID, c.Generation
	case *fsm.DecideTxn:
		id, generation = c.ID, c.Generation
	case *fsm.AcknowledgeTxn:
		id, generation = c.ID, c.Generation
	case *fsm.ResolveTxn:
		id, generation = c.ID, c.Generation
	case *fsm.ForgetTxn:
		id, generation = c.ID, c.Generation
	}
	if generation != 0 && generation != m.generation {
		return hawser.CodeWrongGeneration, false
	}
	t := m.txns[id]
	if t == nil {
		return hawser.CodeNotFound, false
	}
	m.expire(t)
	switch c := c.(type) {
	case *fsm.VoteTxn:
		code, repeated = m.vote(t, c, hawser.CodeOf(res.Err))
	case *fsm.DecideTxn:
		code = m.decide(t, c)
	case *fsm.AcknowledgeTxn:
		code = m.acknowledge(t, c.Agent, res, func() hawser.Code {
			code := m.fence(c.Agent, c.Fence, false)
			if code == hawser.CodeOK && t.participant(c.Agent) != nil && t.state.Decided() && c.Committed != (t.state == hawser.TxnCommitted) {
				code = hawser.CodeRefused
			}
			return code
		})
	case *fsm.ResolveTxn:
		code = m.acknowledge(t, c.Agent, res, func() hawser.Code {
			switch {
			case m.resource(claim(c.Agent)).live() != nil:
				return hawser.CodeRefused
			case c.Reason == "":
				return hawser.CodeInvalid
			case t.state == hawser.TxnCommitted && t.participant(c.Agent) != nil:
				t.kept = true
			}
			return hawser.CodeOK
		})
	case *fsm.ForgetTxn:
		if !t.done() || m.time < t.begin.Deadline {
			code = hawser.CodeRefused
			break
		}
		m.checkTxn(res.Txn, t)
		m.revision++
		delete(m.txns, id)
		return hawser.CodeOK, false
	}
	m.checkTxn(res.Txn, t)
	return code, repeated
}

func (m *model) begin(c *fsm.BeginTxn) (code hawser.Code, repeated bool) {
	if c.Generation != 0 && c.Generation != m.generation {
		return hawser.CodeWrongGeneration, false
	}
	if t := m.txns[c.ID]; t != nil {
		same := t.begin.Deadline == c.Deadline && t.begin.Manual == c.Manual && slices.EqualFunc(t.begin.Participants, c.Participants, func(a, b fsm.TxnTask) bool {
			return a.Agent == b.Agent && bytes.Equal(a.Payload, b.Payload)
		})
		if !same {
			return hawser.CodeRequestMismatch, false
		}
		m.expire(t)
		return hawser.CodeOK, true
	}
	t := &modelTxn{begin: c, state: hawser.TxnPending}
	if m.time >= c.Deadline {
		return hawser.CodeRequestExpired, false
	}
	for _, task := range c.Participants {
		if t.participant(task.Agent) != nil {
			return hawser.CodeInvalid, false
		}
		t.participants = append(t.participants, modelParticipant{agent: task.Agent})
	}
	for _, p := range t.participants {
		if r := m.resource(claim(p.agent)); m.agent(p.agent).live == 0 && len(r.holders)+len(r.queue) == 0 {
			return hawser.CodeNotFound, false
		}
	}
	m.revision++
	t.begun = m.revision
	m.txns[c.ID] = t
	return hawser.CodeOK, false
}

func (m *model) expire(t *modelTxn) {
	if !t.state.Decided() && m.time >= t.begin.Deadline {
		m.abort(t)
		m.outcomes["deadline"]++
	}
}

func (m *model) abort(t *modelTxn) {
	t.state = hawser.TxnAborted
	for i := range t.participants {
		p := &t.participants[i]
		p.acknowledged = p.vote != hawser.VoteYes || p.quiet
	}
	m.revision++
	t.decided = m.revision
	m.outcomes["aborted"]++
}

func (m *model) commit(t *modelTxn, before uint64) {
	t.state, t.decided = hawser.TxnCommitted, before+1
	for i := range t.participants {
		p := &t.participants[i]
		p.acknowledged = p.quiet
		if s := p.save; s != nil {
			a := m.agent(p.agent)
			p.version = m.add(a, modelNumber{kind: hawser.RequestTxn, nonce: s.Request.Nonce, expect: s.Expect, sha: s.SHA256, state: m.states[s.SHA256], txn: t.begin.ID.ID})
			a.live = p.version
			m.committed[s.SHA256] = true
		}
	}
	m.revision++
	m.outcomes["committed"]++
}

func (m *model) vote(t *modelTxn, c *fsm.VoteTxn, got hawser.Code) (code hawser.Code, repeated bool) {
	before := m.revision
	p, vote := t.participant(c.Agent), hawser.VoteNo
	if c.Yes {
		vote = hawser.VoteYes
	}
	sha := func(s *fsm.Save) (h hawser.Hash) {
		if s != nil {
			h = s.SHA256
		}
		return h
	}
	if p != nil && p.vote == vote && p.epoch == c.Fence&(1<<32-1) && sha(p.save) == sha(c.State) {
		return hawser.CodeOK, true
	}
	if p == nil {
		return hawser.CodeInvalid, false
	}
	if code := m.fence(c.Agent, c.Fence, false); code != hawser.CodeOK {
		return code, false
	}
	switch pending := t.state == hawser.TxnPending; {
	case pending && c.Yes && m.queue(c.Agent)[0] != t:
		return hawser.CodeTxnLocked, false
	case pending && c.State != nil && *c.State.Expect != m.agent(c.Agent).live:
		return hawser.CodeConflict, false
	case !pending || p.vote != hawser.VoteNone:
		return hawser.CodeRefused, false
	case c.State != nil:
		if code := m.mayStage(m.agent(c.Agent), c.State, got); code != hawser.CodeOK {
			return code, false
		}
	}
	p.vote, p.epoch, p.save, p.quiet = vote, c.Fence&(1<<32-1), c.State, c.Quiet
	m.revision = before + 1
	switch all := !slices.ContainsFunc(t.participants, func(p modelParticipant) bool { return p.vote != hawser.VoteYes }); {
	case !c.Yes:
		m.abort(t)
		t.decided = before + 1
	case all && t.begin.Manual:
		t.state = hawser.TxnPrepared
		m.outcomes["prepared"]++
	case all:
		m.commit(t, before)
	}
	return hawser.CodeOK, false
}

func (m *model) decide(t *modelTxn, c *fsm.DecideTxn) hawser.Code {
	switch {
	case !c.Commit && c.Reason == "":
		return hawser.CodeInvalid
	case c.Commit && t.state == hawser.TxnPrepared:
		m.commit(t, m.revision)
	case c.Commit && t.state != hawser.TxnCommitted, !c.Commit && t.state == hawser.TxnCommitted:
		return hawser.CodeRefused
	case !c.Commit && t.state != hawser.TxnAborted:
		m.abort(t)
	}
	return hawser.CodeOK
}

func (m *model) acknowledge(t *modelTxn, id hawser.AgentID, res fsm.Result, allowed func() hawser.Code) hawser.Code {
	m.t.Helper()
	p := t.participant(id)
	if p != nil && p.acknowledged {
		m.released(res, false)
		return hawser.CodeOK
	}
	kept := t.kept
	code := allowed()
	switch {
	case code != hawser.CodeOK:
		return code
	case p == nil:
		return hawser.CodeInvalid
	case !t.state.Decided():
		t.kept = kept
		return hawser.CodeRefused
	}
	m.released(res, true)
	p.acknowledged = true
	m.revision++
	return hawser.CodeOK
}

func (m *model) sweep(c *fsm.SweepTxns, res fsm.Result) {
	m.t.Helper()
	before, pruned := m.revision, uint64(0)
	for _, id := range c.IDs {
		t := m.txns[id]
		switch {
		case t == nil || m.time < t.begin.Deadline:
			continue
		case !t.state.Decided():
			m.expire(t)
			t.decided = before + 1
		case t.done() && !t.kept:
			delete(m.txns, id)
			m.outcomes["removed"]++
		default:
			continue
		}
		pruned++
	}
	if res.Pruned != pruned || res.More {
		m.t.Fatalf("swept %d, more %t, expected %d", res.Pruned, res.More, pruned)
	}
}

// checkTxn compares what is told of a transaction.
func (m *model) checkTxn(got *hawser.TxnInfo, want *modelTxn) {
	m.t.Helper()
	if got == nil {
		m.t.Fatalf("nothing is told of %s", want.begin.ID)
	}
	if got.ID != want.begin.ID || got.State != want.state || got.Done != want.done() || got.Manual != want.begin.Manual || got.Kept != want.kept ||
		uint64(got.Revision) != want.decided || len(got.Participants) != len(want.participants) || got.DeadlineAt.UnixNano() != want.begin.Deadline {
		m.t.Fatalf("told %+v, expected %+v", got, want)
	}
	for i, p := range got.Participants {
		w := want.participants[i]
		if p.Agent != w.agent || p.Vote != w.vote || p.Epoch != w.epoch || p.Version != w.version || p.Acknowledged != w.acknowledged {
			m.t.Fatalf("%s: told %+v, expected %+v", got.ID, p, w)
		}
	}
}

// checkTxns compares every transaction, and what each agent has to do.
func (m *model) checkTxns(v *fsm.View) {
	m.t.Helper()
	infos, err := v.Txns("default", "", hawser.MaxPage)
	if err != nil || len(infos) != len(m.txns) {
		m.t.Fatalf("%d transactions, %v, expected %d", len(infos), err, len(m.txns))
	}
	for _, info := range infos {
		t := m.txns[info.ID]
		if t == nil {
			m.t.Fatalf("%s should not be there", info.ID)
		}
		m.checkTxn(&info, t)
		for _, p := range info.Participants {
			var waits hawser.TxnID
			if queue := m.queue(p.Agent); t.state == hawser.TxnPending && p.Vote == hawser.VoteNone && queue[0] != t {
				waits = queue[0].begin.ID
			}
			if p.Waiting != waits {
				m.t.Fatalf("%s of %s waits for %s, expected %s", p.Agent, info.ID, p.Waiting, waits)
			}
		}
	}
	for id := range m.agents {
		m.checkWork(v, id)
	}
}

func (m *model) checkWork(v *fsm.View, id hawser.AgentID) {
	m.t.Helper()
	work, err := v.TxnWork(id)
	if err != nil {
		m.t.Fatal(err)
	}
	var open []string
	for _, t := range m.sortedTxns() {
		if p := t.participant(id); p != nil && t.state.Decided() && !p.acknowledged {
			open = append(open, fmt.Sprintf("%020d %s", t.decided, t.begin.ID))
		}
	}
	slices.Sort(open)
	var got []string
	for _, info := range work.Open {
		got = append(got, fmt.Sprintf("%020d %s", info.Revision, info.ID))
	}
	if !slices.Equal(got, open) {
		m.t.Fatalf("%s: open decisions %v, expected %v", id, got, open)
	}
	queue := m.queue(id)
	if (work.Turn == nil) != (len(queue) == 0) {
		m.t.Fatalf("%s: turn %+v, expected %v", id, work.Turn, queue)
	}
	if len(queue) > 0 {
		m.checkTxn(work.Turn, queue[0])
		for _, task := range queue[0].begin.Participants {
			if task.Agent == id && !bytes.Equal(task.Payload, work.Payload) {
				m.t.Fatalf("%s: payload %q, expected %q", id, work.Payload, task.Payload)
			}
		}
	}
}

func (m *model) sortedTxns() []*modelTxn {
	return slices.SortedFunc(maps.Values(m.txns), func(a, b *modelTxn) int { return cmp.Compare(a.begun, b.begun) })
}
