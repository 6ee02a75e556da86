// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: the largest cut with an owner for each agent is rolled back with at most
// 1,000 events, as many as transactions leave room for; with one participant more
// it is refused, and nothing is done. Method: 250 claimed agents, and undecided
// transactions of 64 of them each and then one more.
func TestRollbackCut_EventsAreBounded(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	index := uint64(0)
	apply := func(commands ...fsm.Command) (results []fsm.Result) {
		t.Helper()
		index++
		out, err := m.Apply([]fsm.Entry{command(index, int64(index), commands...)})
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range out[0].Results {
			if res.Err != nil && !errors.Is(res.Err, hawser.ErrRefused) {
				t.Fatal(res.Err)
			}
		}
		return out[0].Results
	}
	cut := &fsm.MakeCut{Name: agentID("k")}
	apply(&fsm.LeaderStart{Term: 1, Node: "n1-aaaaaaaa", ClusterID: [16]byte{7}, Generation: 77}, &fsm.OpenLease{Lease: leaseID("L"), Instance: "i", TTL: 1e9})
	for i := range hawser.MaxCutAgents {
		name := fmt.Sprintf("a%03d", i)
		cut.Agents = append(cut.Agents, name)
		apply(newSave(agentID(name), "s", name), &fsm.Acquire{Resource: claim(agentID(name)), Lease: leaseID("L")})
	}
	revision := uint64(apply(cut)[0].Revision)
	begin := func(id string, participants int) {
		b := &fsm.BeginTxn{ID: txnID(id), Deadline: 60e9}
		for _, name := range cut.Agents[:participants] {
			b.Participants = append(b.Participants, fsm.TxnTask{Agent: agentID(name)})
		}
		apply(b)
	}
	// 1,000 less the rollback's own and 250 times two are 499: 7 times 64 and 51.
	for i := range 7 {
		begin(fmt.Sprint("t", i), 64)
	}
	begin("last", 51)
	begin("one", 1)
	back := &fsm.RollbackCut{Cut: cut.Name, Revision: revision, Request: fsm.Request{Nonce: nonce("r")}}
	before := m.Info().Revision
	if res := apply(back)[0]; !errors.Is(res.Err, hawser.ErrRefused) || m.Info().Revision != before || len(res.Events) > 0 {
		t.Errorf("one too many: %v, %d events", res.Err, len(res.Events))
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := v.CutPlan(cut.Name); err != nil || plan.Problem == "" {
		t.Errorf("the plan says nothing of it: %q, %v", plan.Problem, err)
	}
	v.Close()
	apply(&fsm.DecideTxn{ID: txnID("one"), Reason: "enough"})
	res := apply(back)[0]
	if res.Err != nil || len(res.Events) != 1000 || len(res.Rollback.Agents) != hawser.MaxCutAgents {
		t.Errorf("%v, %d events", res.Err, len(res.Events))
	}
	fsm.CheckStore(t, m)
}

// Claim: the agents that a batch has just made or deleted are in a cut of a
// prefix, or not.
func TestMakeCut_SeesItsOwnBatch(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	save := func(name string) fsm.Command { return newSave(agentID(name), "s", name) }
	out, err := m.Apply([]fsm.Entry{
		command(1, 1, save("crew/a"), save("crew/b"), save("crewman")),
		command(2, 2, &fsm.Delete{Agent: agentID("crew/a"), Request: fsm.Request{Nonce: nonce("d"), Seen: 1}}, save("crew/c"), save("crew"),
			&fsm.MakeCut{Name: agentID("k"), ByPrefix: true, Prefix: "crew"}, &fsm.MakeCut{Name: agentID("l"), ByPrefix: true, Prefix: "crew/"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{3: "[{default/crew 1 } {default/crew/b 1 } {default/crew/c 1 }]", 4: "[{default/crew/b 1 } {default/crew/c 1 }]"} {
		if res := out[1].Results[i]; res.Err != nil || fmt.Sprint(res.Cut.Agents) != want {
			t.Errorf("%v, %v, want %s", res.Cut, res.Err, want)
		}
	}
	fsm.CheckStore(t, m)
}
