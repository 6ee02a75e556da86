// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// at applies commands in one entry at a time in seconds, and fails if one is
// refused.
func (m *machine) at(seconds int64, commands ...fsm.Command) (results []fsm.Result) {
	m.t.Helper()
	m.index++
	out, err := m.m.Apply([]fsm.Entry{command(m.index, seconds*1e9, commands...)})
	if err != nil {
		m.t.Fatal(err)
	}
	for i, res := range out[0].Results {
		if res.Err != nil {
			m.t.Fatalf("%T %+v: %v", commands[i], commands[i], res.Err)
		}
	}
	return out[0].Results
}

// try applies a command, and returns why it was refused.
func (m *machine) try(seconds int64, c fsm.Command) error {
	m.t.Helper()
	m.index++
	out, err := m.m.Apply([]fsm.Entry{command(m.index, seconds*1e9, c)})
	if err != nil {
		m.t.Fatal(err)
	}
	return out[0].Results[0].Err
}

func (m *machine) view() *fsm.View {
	m.t.Helper()
	v, err := m.m.View()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = v.Close() })
	return v
}

// newTxn begins a transaction of agents that lasts until a second.
func newTxn(id string, until int64, agents ...string) *fsm.BeginTxn {
	b := &fsm.BeginTxn{ID: txnID(id), Deadline: until * 1e9}
	for _, name := range agents {
		b.Participants = append(b.Participants, fsm.TxnTask{Agent: agentID(name), Payload: []byte("do " + name)})
	}
	return b
}

// newVote is a yes with a state that follows on version n.
func newVote(id, agent, state string, n uint64) *fsm.VoteTxn {
	s := newSave(agentID(agent), state, id+agent)
	s.Expect = &n
	return &fsm.VoteTxn{ID: txnID(id), Agent: agentID(agent), Yes: true, State: s}
}

// An agent takes part in 1,000 undecided transactions, a namespace has 10,000
// that are not done, and 1 GiB in staged votes; beyond that it says so, and what
// is over makes room again.
func TestTxn_Limits(t *testing.T) {
	const queued, open, staged = 1000, 10_000, 1 << 30
	m := newMachine(t)
	m.at(1, newSave(agentID("a"), "a", "a"), newSave(agentID("b"), "b", "b"))
	begins := make([]fsm.Command, queued)
	for n := range begins {
		begins[n] = newTxn(fmt.Sprintf("t%04d", n), 100, "a")
	}
	m.at(1, begins...)
	if err := m.try(1, newTxn("more", 100, "b", "a")); !errors.Is(err, hawser.ErrOverloaded) {
		t.Errorf("one more for an agent: %v", err)
	}
	m.at(1, &fsm.DecideTxn{ID: txnID("t0500"), Reason: "room"}, newTxn("more", 100, "b", "a"))

	for _, c := range []struct {
		open uint64
		want error
	}{{open, hawser.ErrOverloaded}, {open - 1, nil}} {
		if err := fsm.PretendTally(m.m, "default", c.open, 0); err != nil {
			t.Fatal(err)
		}
		if err := m.try(1, newTxn("another", 100, "b")); !errors.Is(err, c.want) {
			t.Errorf("one more than %d: %v", c.open, err)
		}
	}
	vote := newVote("t0000", "a", "next", 1)
	vote.State.Request = fsm.Request{}
	for _, c := range []struct {
		staged uint64
		want   error
	}{{staged - 3, hawser.ErrOverloaded}, {staged - 4, nil}} {
		if err := fsm.PretendTally(m.m, "default", queued, c.staged); err != nil {
			t.Fatal(err)
		}
		if err := m.try(1, vote); !errors.Is(err, c.want) {
			t.Errorf("4 bytes more than %d: %v", c.staged, err)
		}
	}
	if err := fsm.PretendTally(m.m, "default", queued+1, 0); err != nil { // as it is
		t.Fatal(err)
	}
	fsm.CheckStore(t, m.m)
}

// The first of many whose turn it is is found at once, however many have been
// before it; and they are served in order.
func TestTxn_LongQueue(t *testing.T) {
	const n = 1000
	m := newMachine(t)
	m.at(1, newSave(agentID("a"), "a", "a"))
	begins, votes := make([]fsm.Command, n), make([]fsm.Command, n)
	for i := range n {
		begins[i] = newTxn(fmt.Sprintf("t%04d", n-i), 100, "a")
		votes[i] = &fsm.VoteTxn{ID: txnID(fmt.Sprintf("t%04d", n-i)), Agent: agentID("a"), Yes: true, Quiet: true}
	}
	m.at(1, begins...)
	if err := m.try(1, votes[1]); !errors.Is(err, hawser.ErrTxnLocked) || !strings.Contains(err.Error(), fmt.Sprintf("t%04d", n)) {
		t.Errorf("out of turn: %v", err)
	}
	for from := 0; from < n; from += 100 {
		m.at(1, votes[from:from+100]...)
	}
	infos, err := m.view().Txns("default", "", 0)
	if err != nil || len(infos) != hawser.DefaultPage || !infos[0].Done || infos[0].State != hawser.TxnCommitted {
		t.Errorf("%d listed, %+v, %v", len(infos), infos[0], err)
	}
	fsm.CheckStore(t, m.m)
}

// A sweep has to do with 256 transactions, and 256 participants of them; it says
// when some are left, and what is due again and again comes to its end.
func TestSweepTxns_InPieces(t *testing.T) {
	const agents = 20
	m := newMachine(t)
	var commands []fsm.Command
	names := make([]string, agents)
	for i := range names {
		names[i] = fmt.Sprintf("a%02d", i)
		commands = append(commands, newSave(agentID(names[i]), "x", names[i]))
	}
	for i := range 300 {
		commands = append(commands, newTxn(fmt.Sprintf("t%03d", i), 10, names...))
	}
	m.at(1, commands...)
	m.at(2, newVote("t000", "a00", "bound", 1))
	if err := m.try(10, &fsm.SweepTxns{IDs: make([]hawser.TxnID, 257)}); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("257 of them: %v", err)
	}
	if err := m.try(10, &fsm.SweepTxns{IDs: []hawser.TxnID{txnID("t000"), {}}}); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("one without a name: %v", err)
	}
	if info, err := m.view().Txn(txnID("t000")); err != nil || info.State != hawser.TxnPending {
		t.Errorf("a sweep that was refused did %+v, %v", info, err)
	}
	if ids, err := m.view().DueTxns(time.Time{}, time.Unix(9, 0)); err != nil || len(ids) != 0 {
		t.Errorf("due too early: %v, %v", ids, err)
	}
	swept := uint64(0)
	for range 1000 {
		ids, err := m.view().DueTxns(time.Time{}, time.Unix(10, 0))
		if err != nil || len(ids) > 256 {
			t.Fatal(len(ids), err)
		}
		if len(ids) == 0 {
			break
		}
		res := m.at(10, &fsm.SweepTxns{IDs: ids})[0]
		if len(res.Events) > 1000 || res.Pruned == 0 || res.Pruned < uint64(len(ids)) && !res.More {
			t.Fatalf("swept %d of %d, more %t, %d events", res.Pruned, len(ids), res.More, len(res.Events))
		}
		swept += res.Pruned
	}
	if infos, err := m.view().Txns("default", "", 0); swept != 300+299 || err != nil || len(infos) != 1 {
		t.Errorf("swept %d, left %+v, %v", swept, infos, err)
	}
	m.at(10, &fsm.AcknowledgeTxn{ID: txnID("t000"), Agent: agentID("a00")}, &fsm.SweepTxns{IDs: []hawser.TxnID{txnID("t000")}})
	if counts := fsm.CountKeys(t, m.m); counts['x']+counts['q']+counts['k']+counts['y']+counts['z']+counts['b'] != 0 {
		t.Errorf("left of transactions: %v", counts)
	}
	fsm.CheckStore(t, m.m)
}

// Whoever lost the answer to a vote asks whether it was taken.
func TestView_Voted(t *testing.T) {
	m := newMachine(t)
	m.at(1, newSave(agentID("a"), "a", "a"), newSave(agentID("b"), "b", "b"), newTxn("t", 10, "a", "b"))
	vote, other, unknown := newVote("t", "a", "next", 1), newVote("t", "a", "other", 1), newVote("u", "a", "next", 1)
	for _, c := range []struct {
		when string
		do   []fsm.Command
		want bool
	}{
		{"before", nil, false},
		{"after", []fsm.Command{vote}, true},
		{"when decided", []fsm.Command{&fsm.DecideTxn{ID: txnID("t"), Reason: "r"}}, true},
	} {
		m.at(1, c.do...)
		if got, err := m.view().Voted(vote); got != c.want || err != nil {
			t.Errorf("%s: %t, %v", c.when, got, err)
		}
		for _, v := range []*fsm.VoteTxn{other, unknown, {ID: txnID("t"), Agent: agentID("a")}} {
			if got, err := m.view().Voted(v); got || err != nil {
				t.Errorf("another one, %s: %t, %v", c.when, got, err)
			}
		}
	}
}

// Claim: an archive that is taken while transactions are in flight holds nothing
// of them, nor of an agent that is only claimed so far, and where it is restored
// nobody is bound or waits.
func TestExport_BesideTransactions(t *testing.T) {
	m := newMachine(t)
	m.at(1, newSave(agentID("a"), "a1", "a"), newSave(agentID("b"), "b1", "b"), newTxn("done", 10, "a", "b"))
	m.at(1, newVote("done", "a", "a2", 1), newVote("done", "b", "b2", 1))
	before := archived(t, m.m, "", "")
	m.at(1,
		&fsm.OpenLease{Lease: leaseID("L"), Instance: "i", TTL: time.Second}, &fsm.Acquire{Resource: claim(agentID("new")), Lease: leaseID("L")},
		newTxn("open", 10, "a", "b", "new"), newTxn("next", 10, "b", "a"), newVote("open", "a", "hidden", 2),
	)
	first := newVote("open", "new", "hidden", 0)
	first.Fence = hawser.NewToken(0, 1)
	m.at(1, first)
	items := archived(t, m.m, "", "")
	if got, want := outline(t, items), outline(t, before); got != want || strings.Contains(fmt.Sprintf("%s", items), "hidden") {
		t.Errorf("exports %s beside a transaction, and %s before", got, want)
	}
	into := newImporter(t, 2e9)
	into.start()
	into.fill(rand.New(rand.NewPCG(1, 2)), items)
	into.must(into.end(items))
	fsm.CheckStore(t, into.m)
	if counts := fsm.CountKeys(t, into.m); counts['x']+counts['q']+counts['k']+counts['y']+counts['z']+counts['b'] != 0 {
		t.Errorf("restored of transactions: %v", counts)
	}
	v, err := into.m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if version, state, err := v.Materialise(agentID("a"), 0); err != nil || string(state) != "a2" || version.Number != 2 {
		t.Errorf("restored %+v, %q, %v", version, state, err)
	}
	if _, err := v.Txn(txnID("open")); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("the transaction after the restore: %v", err)
	}
	late := newVote("open", "b", "late", 2)
	late.Generation = 77
	if err := into.apply(late)[0].Err; !errors.Is(err, hawser.ErrWrongGeneration) {
		t.Errorf("a vote from before the restore: %v", err)
	}
	save := newSave(agentID("a"), "free", "free")
	save.Request.Seen = 2
	into.must(save)
	into.stamp = into.m.Info().Time.UnixNano()
	begin := newTxn("open", 0, "a", "b")
	begin.Deadline = into.stamp + 1e9
	into.must(begin)
	fsm.CheckStore(t, into.m)
}
