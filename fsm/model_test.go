// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// model is what a machine should be, told in the simplest way: every number of
// every agent with its whole state.
type model struct {
	t          *testing.T
	agents     map[hawser.AgentID]*modelAgent
	generation uint64
	revision   uint64
	// refused counts deltas that were refused though their base was the head,
	// which the model cannot tell beforehand.
	refused      int
	coordination modelCoordination
	txns         map[hawser.TxnID]*modelTxn
	// time is the newest stamp, states are all that were sent, committed those
	// that transactions have made versions of. Outcomes are counted.
	time      int64
	states    map[hawser.Hash][]byte
	committed map[hawser.Hash]bool
	outcomes  map[string]int
	// retention is the stamp that a prune needs.
	retention uint64
	cuts      map[hawser.AgentID]*modelCut
}

type modelAgent struct {
	live, floor uint64
	// numbers holds what every number was given to; number n is at n-1.
	numbers []*modelNumber
	// epoch and fenced are of its claims.
	epoch  uint64
	fenced bool
}

type modelNumber struct {
	kind   hawser.RequestKind
	nonce  hawser.Nonce
	expect *uint64
	sha    hawser.Hash
	state  []byte
	txn    string
	// gone, bad and pinned are of a version.
	gone, bad, pinned bool
}

func (a *modelAgent) head() uint64 { return uint64(len(a.numbers)) }

func (m *model) agent(id hawser.AgentID) *modelAgent {
	if m.agents[id] == nil {
		m.agents[id] = &modelAgent{}
	}
	return m.agents[id]
}

// version returns a version that is there, number 0 for the head.
func (a *modelAgent) version(number uint64) (*modelNumber, hawser.Code) {
	if number == 0 {
		number = a.live
	}
	switch {
	case a.live == 0 || number > a.head():
		return nil, hawser.CodeNotFound
	case number <= a.floor || a.numbers[number-1].gone:
		return nil, hawser.CodeVersionGone
	}
	return a.numbers[number-1], hawser.CodeOK
}

func (a *modelAgent) restorable(number uint64) (*modelNumber, hawser.Code) {
	v, code := a.version(number)
	if v != nil && v.bad {
		return nil, hawser.CodeCorrupt
	}
	return v, code
}

// find returns the number of the request, 0 when it is not among the 64 newest.
func (a *modelAgent) find(q fsm.Request) uint64 {
	for n := a.head(); n > 0 && n+64 > a.head() && n > q.Seen; n-- {
		if a.numbers[n-1].nonce == q.Nonce {
			return n
		}
	}
	return 0
}

// answered is what is expected of a request before it is looked into; go on
// when decided is false.
func (m *model) answered(id hawser.AgentID, kind hawser.RequestKind, q fsm.Request, fenced hawser.Code, expect *uint64, sha *hawser.Hash) (code hawser.Code, number uint64, decided bool) {
	if q.Generation != 0 && q.Generation != m.generation {
		return hawser.CodeWrongGeneration, 0, true
	}
	a := m.agent(id)
	late := a.head() > q.Seen+64
	holds := expect == nil || *expect == a.live
	n := a.find(q)
	switch {
	case n != 0:
		first := a.numbers[n-1]
		same := (expect == nil) == (first.expect == nil) && (expect == nil || *expect == *first.expect)
		if first.kind != kind || !same || sha != nil && *sha != first.sha {
			return hawser.CodeRequestMismatch, 0, true
		}
		return hawser.CodeOK, n, true
	case kind == hawser.RequestDelete && a.live == 0 && (q.Attempt == 0 || !late):
		return hawser.CodeNotFound, 0, true
	case kind != hawser.RequestDelete && q.Seen > a.head() && holds:
		return hawser.CodeInvalid, 0, true
	case late && (q.Attempt != 0 || holds):
		return hawser.CodeRequestExpired, 0, true
	case fenced != hawser.CodeOK && !late:
		return fenced, 0, true
	case m.locked(id) && !late:
		return hawser.CodeTxnLocked, 0, true
	case !holds:
		return hawser.CodeConflict, 0, true
	}
	return hawser.CodeOK, 0, false
}

// step compares what became of a command with what should, and does the same.
func (m *model) step(c fsm.Command, res fsm.Result, states map[hawser.Hash][]byte) {
	m.t.Helper()
	got := hawser.CodeOf(res.Err)
	code, number, repeated := hawser.CodeOK, uint64(0), false
	before := m.revision
	switch c := c.(type) {
	case *fsm.LeaderStart:
		m.generation, m.coordination.term = c.Generation, c.Term
	case *fsm.Save:
		if code, number, repeated = m.answered(c.Agent, hawser.RequestSave, c.Request, m.fence(c.Agent, c.Fence, c.Force), c.Expect, &c.SHA256); !repeated {
			code, number = m.save(c, got, states)
			m.force(c.Agent, c.Force && number != 0)
		}
	case *fsm.Rollback:
		if code, number, repeated = m.answered(c.Agent, hawser.RequestRollback, c.Request, m.fence(c.Agent, c.Fence, c.Force), c.Expect, nil); !repeated {
			code, number = m.copy(c.Agent, c.Agent, c.Number, modelNumber{kind: hawser.RequestRollback, nonce: c.Request.Nonce, expect: c.Expect})
			m.force(c.Agent, c.Force && number != 0)
		}
	case *fsm.Fork:
		none := uint64(0)
		if code, number, repeated = m.answered(c.Agent, hawser.RequestFork, c.Request, m.fence(c.Agent, c.Fence, false), &none, nil); !repeated {
			code, number = m.copy(c.Agent, c.Source, c.Number, modelNumber{kind: hawser.RequestFork, nonce: c.Request.Nonce, expect: &none})
		}
	case *fsm.Delete:
		a := m.agent(c.Agent)
		if code, number, repeated = m.answered(c.Agent, hawser.RequestDelete, c.Request, m.fence(c.Agent, c.Fence, c.Fence == 0), &c.Request.Seen, nil); !repeated {
			number = m.add(a, modelNumber{kind: hawser.RequestDelete, nonce: c.Request.Nonce, expect: &c.Request.Seen, gone: true})
			a.live, a.floor = 0, number
			m.force(c.Agent, c.Fence == 0)
		}
	case *fsm.Pin:
		var v *modelNumber
		if v, code = m.agent(c.Agent).version(c.Number); v != nil && v.pinned != c.Pinned {
			v.pinned = c.Pinned
			m.revision++
		}
	case *fsm.MarkBad:
		var v *modelNumber
		if v, code = m.agent(c.Agent).version(c.Number); v != nil && v.sha != c.SHA256 {
			code = hawser.CodeRefused
		} else if v != nil && !v.bad {
			v.bad = true
			m.revision++
			m.retention = m.revision
		}
	case *fsm.Prune:
		code = m.prune(c)
	case *fsm.OpenLease, *fsm.EndLease, *fsm.Acquire, *fsm.ClaimFree, *fsm.Release, *fsm.EndClaim, *fsm.Succeed, *fsm.SetHealth:
		code = m.coordinate(c, res)
		switch c.(type) {
		case *fsm.OpenLease, *fsm.Acquire, *fsm.EndClaim:
			repeated = m.revision == before
		}
	case *fsm.BeginTxn, *fsm.VoteTxn, *fsm.DecideTxn, *fsm.AcknowledgeTxn, *fsm.ResolveTxn, *fsm.ForgetTxn, *fsm.SweepTxns:
		code, repeated = m.transact(c, res)
	case *fsm.MakeCut, *fsm.RollbackCut, *fsm.DeleteCut, *fsm.SaveAll:
		code, repeated = m.several(c, res, states)
	default: // changes nothing that the model knows; the store is checked
		code = got
	}
	if got != code || res.Number != number || res.Repeated != (repeated && code == hawser.CodeOK) {
		m.t.Fatalf("%T %+v\nanswered %s (%v), number %d, repeated %t\nexpected %s, number %d, repeated %t", c, c,
			got, res.Err, res.Number, res.Repeated, code, number, repeated)
	}
	if !res.Repeated && uint64(res.Revision) != m.revision {
		m.t.Fatalf("%T: revision %d, expected %d after %d", c, res.Revision, m.revision, before)
	}
}

func (m *model) add(a *modelAgent, n modelNumber) uint64 {
	a.numbers = append(a.numbers, &n)
	m.revision++
	return a.head()
}

func (m *model) save(c *fsm.Save, got hawser.Code, states map[hawser.Hash][]byte) (hawser.Code, uint64) {
	a := m.agent(c.Agent)
	if code := m.mayStage(a, c, got); code != hawser.CodeOK {
		return code, 0
	}
	a.live = m.add(a, modelNumber{kind: hawser.RequestSave, nonce: c.Request.Nonce, expect: c.Expect, sha: c.SHA256, state: states[c.SHA256]})
	return hawser.CodeOK, a.live
}

// mayStage is whether the content of a save can be stored.
func (m *model) mayStage(a *modelAgent, c *fsm.Save, got hawser.Code) hawser.Code {
	if c.Content.Parts > 0 && got == hawser.CodeInvalid {
		return got // what is staged is not the model's
	}
	if c.Base != nil {
		if a.live == 0 || c.Base.Number != a.live || a.numbers[a.live-1].sha != c.Base.SHA256 || a.numbers[a.live-1].bad {
			return hawser.CodeKeyframeNeeded
		}
		if got == hawser.CodeKeyframeNeeded {
			m.refused++
			return got
		}
	}
	return hawser.CodeOK
}

// copy makes a version of id equal to one of source.
func (m *model) copy(id, source hawser.AgentID, number uint64, n modelNumber) (hawser.Code, uint64) {
	v, code := m.agent(source).restorable(number)
	if v == nil {
		return code, 0
	}
	n.sha, n.state = v.sha, v.state
	a := m.agent(id)
	a.live = m.add(a, n)
	return hawser.CodeOK, a.live
}

func (m *model) prune(c *fsm.Prune) hawser.Code {
	a := m.agent(c.Agent)
	switch {
	case c.Stamp != m.retention:
		return hawser.CodeRefused
	case a.live == 0:
		return hawser.CodeNotFound
	}
	pruned := false
	for _, r := range c.Ranges {
		for n := r.From; n <= min(r.To, a.head()); n++ {
			if v, _ := a.version(n); v != nil && !v.pinned && n != a.live && !m.inCut(c.Agent, n) {
				v.gone, pruned = true, true
			}
		}
	}
	if pruned {
		m.revision++
	}
	return hawser.CodeOK
}

// check compares every version of every agent with the machine's.
func (m *model) check(machine *fsm.Machine) {
	m.t.Helper()
	v, err := machine.View()
	if err != nil {
		m.t.Fatal(err)
	}
	defer v.Close()
	m.checkHoldings(v)
	m.checkTxns(v)
	for id, a := range m.agents {
		if a.head() == 0 {
			continue
		}
		m.checkAgent(v, id, a)
		for n := uint64(1); n <= a.head(); n++ {
			want, code := a.restorable(n)
			got, state, err := v.Materialise(id, n)
			if hawser.CodeOf(err) != code {
				m.t.Fatalf("%s@%d: %v, expected %s", id, n, err, code)
			}
			if want != nil && (!bytes.Equal(state, want.state) || got.Pinned != want.pinned || got.Txn != want.txn || got.SHA256 != sha256.Sum256(state)) {
				m.t.Fatalf("%s@%d: restored %q\nsaved    %q", id, n, state, want.state)
			}
		}
	}
}

func (m *model) checkAgent(v *fsm.View, id hawser.AgentID, a *modelAgent) {
	m.t.Helper()
	got, err := v.Agent(id)
	if err != nil {
		m.t.Fatal(err)
	}
	var there []uint64
	for n := a.head(); n > a.floor; n-- {
		if !a.numbers[n-1].gone {
			there = append(there, n)
		}
	}
	if got.Epoch != a.epoch || got.Fenced != a.fenced {
		m.t.Fatalf("%s: epoch %d, fenced %t, expected %d, %t", id, got.Epoch, got.Fenced, a.epoch, a.fenced)
	}
	if got.Head != a.head() || got.Versions != uint64(len(there)) || (got.Version == nil) != (a.live == 0) || got.Version != nil && got.Version.Number != a.live {
		m.t.Fatalf("%+v, expected head %d, live %d, %d versions", got, a.head(), a.live, len(there))
	}
	listed, err := v.Versions(id, 0, hawser.MaxPage)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		m.t.Fatal(err)
	}
	equal := slices.EqualFunc(listed, there, func(v hawser.Version, n uint64) bool { return v.Number == n })
	if a.live != 0 && !equal {
		m.t.Fatalf("%s: listed %s, expected %v", id, fmt.Sprint(listed), there)
	}
}
