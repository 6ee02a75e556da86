// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: a crew is rolled back at one revision while its owners save and a
// transaction is undecided; no save of an owner of before is accepted after it,
// and the next owners find the agents as they were. Method: three owners save
// without end, each noting the versions that were acknowledged.
func TestRollbackTo_WhileAgentsSave(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	names := []string{"crew/a", "crew/b", "crew/c"}
	for _, name := range names {
		if _, err := c.Agent(name).Save(t.Context(), []byte("good "+name)); err != nil {
			t.Fatal(err)
		}
	}
	cut, err := c.Cut(t.Context(), "friday", client.CutPrefix("crew"), client.CutLabel("before the upgrade"))
	if err != nil || cut.Size != 3 || cut.Label != "before the upgrade" {
		t.Fatalf("%+v, %v", cut, err)
	}
	var mu sync.Mutex
	last := map[string]uint64{}
	var workers sync.WaitGroup
	owns := make([]*client.Claim, len(names))
	for i, name := range names {
		own, err := c.Agent(name).Claim(t.Context(), client.TTL(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		owns[i] = own
		workers.Go(func() {
			for n := 0; ; n++ {
				v, err := own.Save(t.Context(), fmt.Appendf(nil, "bad %d of %s", n, name))
				if err != nil {
					if !errors.Is(err, hawser.ErrFenced) && !errors.Is(err, hawser.ErrOwnershipLost) && !errors.Is(err, hawser.ErrTxnLocked) {
						t.Errorf("%s: %v", name, err)
					}
					if !errors.Is(err, hawser.ErrTxnLocked) {
						return
					}
					continue
				}
				mu.Lock()
				last[name] = v.Number
				mu.Unlock()
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var initiator sync.WaitGroup
	initiator.Go(func() {
		_, err := c.Transact(ctx, client.Txn{ID: "stuck", Timeout: time.Minute, Participants: tasks("crew/a", "crew/b")})
		if aborted, ok := errors.AsType[*hawser.TxnAbortedError](err); !ok || !strings.Contains(aborted.Txn.Reason, "friday: looping") {
			t.Errorf("the transaction ended with %v", err)
		}
	})
	cluster.Eventually("the transaction is begun", func() error {
		_, err := c.Txn(t.Context(), "stuck")
		return err
	})
	plan, err := c.RollbackTo(t.Context(), "friday", client.DryRun())
	if err != nil || !plan.DryRun || len(plan.Agents) != 3 || plan.Agents[0].Owner == "" || !slices.Equal(plan.Agents[1].Txns, []string{"stuck"}) || plan.Agents[2].Number != 1 {
		t.Errorf("planned %+v, %v", plan, err)
	}
	report, err := c.RollbackTo(t.Context(), "friday", client.BecauseOf("looping"))
	if err != nil {
		t.Fatal(err)
	}
	workers.Wait()
	initiator.Wait()
	cancel()
	for i, a := range report.Agents {
		v, err := head(t, c.Agent(names[i]))
		if err != nil || v.Number != a.Made || v.Revision != report.Revision || v.Origin.Number != 1 {
			t.Errorf("%s: head %+v, made %d at %d, %v", names[i], v, a.Made, report.Revision, err)
		}
		if last[names[i]] >= a.Made || last[names[i]] > a.Head {
			t.Errorf("%s: version %d was acknowledged, the rollback made %d after %d", names[i], last[names[i]], a.Made, a.Head)
		}
		if a.Owner == "" || a.Epoch != 2 {
			t.Errorf("%s: %+v", names[i], a)
		}
		<-owns[i].Done()
		own, err := c.Agent(names[i]).Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cp, err := own.Restore(t.Context())
		if err != nil || string(cp.State) != "good "+names[i] {
			t.Errorf("%s: %q, %v", names[i], cp.State, err)
		}
		if _, err := own.Save(t.Context(), []byte("on")); err != nil {
			t.Errorf("%s: %v", names[i], err)
		}
	}
}

// Claim: what is wrong with a request is said, and nothing is done; repeats are
// told from other requests.
func TestCuts_BadInput(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	many := make([]string, 0, hawser.MaxCutAgents+1)
	var saves []client.Saving
	for i := range hawser.MaxCutAgents + 1 {
		many = append(many, fmt.Sprintf("many/%03d", i))
		saves = append(saves, client.SaveOf(c.Agent(many[i]), []byte("m")))
	}
	for some := range slices.Chunk(saves, hawser.MaxSaves) {
		if _, err := c.SaveAll(t.Context(), some...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Agent("one").Save(t.Context(), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cut(t.Context(), "good", client.CutAgents("one", "many/000")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cut  string
		opts []client.CutOption
		want error
	}{
		"nothing":           {"x", nil, hawser.ErrInvalid},
		"both":              {"x", []client.CutOption{client.CutAgents("one"), client.CutPrefix("")}, hawser.ErrInvalid},
		"unknown agents":    {"x", []client.CutOption{client.CutAgents("one", "two")}, hawser.ErrNotFound},
		"unknown prefix":    {"x", []client.CutOption{client.CutPrefix("two")}, hawser.ErrNotFound},
		"no name":           {"", []client.CutOption{client.CutAgents("one")}, hawser.ErrInvalid},
		"absurd name":       {"a\x00b", []client.CutOption{client.CutAgents("one")}, hawser.ErrInvalid},
		"long name":         {strings.Repeat("x", 513), []client.CutOption{client.CutAgents("one")}, hawser.ErrInvalid},
		"absurd agent":      {"x", []client.CutOption{client.CutAgents("../one")}, hawser.ErrInvalid},
		"absurd prefix":     {"x", []client.CutOption{client.CutPrefix("a//b")}, hawser.ErrInvalid},
		"one spelled twice": {"x", []client.CutOption{client.CutAgents("caf\u00e9", "cafe\u0301")}, hawser.ErrInvalid},
		"long label":        {"x", []client.CutOption{client.CutAgents("one"), client.CutLabel(strings.Repeat("x", 257))}, hawser.ErrInvalid},
		"251 agents":        {"x", []client.CutOption{client.CutAgents(many...)}, hawser.ErrTooLarge},
		"251 below":         {"x", []client.CutOption{client.CutPrefix("many")}, hawser.ErrTooLarge},
		"other agents":      {"good", []client.CutOption{client.CutAgents("one")}, hawser.ErrRequestMismatch},
		"other label":       {"good", []client.CutOption{client.CutAgents("one", "many/000"), client.CutLabel("l")}, hawser.ErrRequestMismatch},
		"prefix instead":    {"good", []client.CutOption{client.CutPrefix("one")}, hawser.ErrRequestMismatch},
	} {
		if cut, err := c.Cut(t.Context(), test.cut, test.opts...); !errors.Is(err, test.want) {
			t.Errorf("%s: %+v, %v, want %v", name, cut, err, test.want)
		}
	}
	again, existed, err := c.EnsureCut(t.Context(), "good", client.CutAgents("many/000", "one", "one"))
	if err != nil || !existed || again.Size != 2 {
		t.Errorf("made again: %+v, %t, %v", again, existed, err)
	}
	if _, err := c.Cut(t.Context(), "most", client.CutAgents(many[:hawser.MaxCutAgents]...)); err != nil {
		t.Error(err)
	}
	report, err := c.RollbackTo(t.Context(), "most")
	if err != nil || len(report.Agents) != hawser.MaxCutAgents || report.Agents[249].Made != 2 {
		t.Errorf("rolled back %d agents: %v", len(report.Agents), err)
	}
	for name, err := range map[string]error{
		"rollback": second(c.RollbackTo(t.Context(), "nothing")), "dry run": second(c.RollbackTo(t.Context(), "nothing", client.DryRun())),
		"show": second(c.ShowCut(t.Context(), "nothing")), "delete": c.DeleteCut(t.Context(), "nothing"),
	} {
		if !errors.Is(err, hawser.ErrNotFound) {
			t.Errorf("%s of a cut that is not there: %v", name, err)
		}
	}
	n := 0
	for cut, err := range c.Cuts(t.Context()) {
		if err != nil || len(cut.Agents) != 0 {
			t.Errorf("%+v, %v", cut, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d cuts", n)
	}
}

func second[T any](_ T, err error) error { return err }

// Claim: a rollback under one id is done once, whatever becomes of its answer
// and of the leader; one that cannot be told any more is refused.
func TestRollbackTo_IsDoneOnce(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	a := c.Agent("a")
	if _, err := a.Save(t.Context(), []byte("good")); err != nil {
		t.Fatal(err)
	}
	cut, err := c.Cut(t.Context(), "k", client.CutAgents("a"))
	if err != nil {
		t.Fatal(err)
	}
	revision := uint64(cut.Revision)
	id := hawser.RequestID{
		Nonce: hawser.NewNonce(), Kind: hawser.RequestCutRollback, Agent: cut.Name, Expect: &revision,
	}
	if parsed, err := hawser.ParseRequestID(id.String()); err != nil || parsed.String() != id.String() {
		t.Errorf("%v, %v", parsed, err)
	}
	first, err := c.RollbackTo(t.Context(), "k", client.RepeatOf(id))
	if err != nil || first.Repeated || first.Agents[0].Made != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	cluster.KillLeader()
	again, err := c.RollbackTo(t.Context(), "k", client.RepeatOf(id))
	if err != nil || !again.Repeated || again.Agents[0].Made != 2 || again.Revision != first.Revision {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := c.RollbackTo(t.Context(), "k", client.RepeatOf(id), client.LeaveOut()); !errors.Is(err, hawser.ErrRequestMismatch) {
		t.Errorf("with another option: %v", err)
	}
	if err := c.DeleteCut(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cut(t.Context(), "k", client.CutAgents("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RollbackTo(t.Context(), "k", client.RepeatOf(id)); !errors.Is(err, hawser.ErrOutcomeUnknown) || !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("of another cut with the name: %v", err)
	}
	if v, err := head(t, a); err != nil || v.Number != 2 {
		t.Errorf("%+v, %v", v, err)
	}
}

// Claim: retention keeps the versions of a cut until it is deleted.
func TestCuts_KeepTheirVersions(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	c := cluster.Client()
	a := c.Agent("a")
	save := func(n int) {
		if _, err := a.Save(t.Context(), fmt.Appendf(nil, "state %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	save(1)
	if _, err := c.Cut(t.Context(), "k", client.CutAgents("a")); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		save(2 + n)
	}
	if _, err := c.SetRetention(t.Context(), "", hawser.Retention{KeepLast: 3}); err != nil {
		t.Fatal(err)
	}
	numbers := func() (found []uint64) {
		for v, err := range a.Versions(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, v.Number)
		}
		return found
	}
	await := func(want ...uint64) {
		cluster.Eventually(fmt.Sprintf("versions %v are left", want), func() error {
			if got := numbers(); !slices.Equal(got, want) {
				return fmt.Errorf("%v are there", got)
			}
			return nil
		})
	}
	await(6, 5, 4, 1)
	if cp, err := c.Agent("a").Restore(t.Context(), client.AtVersion(1)); err != nil || string(cp.State) != "state 1" {
		t.Errorf("%q, %v", cp.State, err)
	}
	if err := c.DeleteCut(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	// A policy that changes is looked at before long.
	if _, err := c.SetRetention(t.Context(), "", hawser.Retention{KeepLast: 2}); err != nil {
		t.Fatal(err)
	}
	await(6, 5)
}

// head describes an agent's newest version, zero for none.
func head(t *testing.T, a *client.Agent) (hawser.Version, error) {
	t.Helper()
	found, err := a.Show(t.Context())
	if err != nil || found.Version == nil {
		return hawser.Version{}, err
	}
	return *found.Version, nil
}
