// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// A rollback is a save whose content is there: it is conditional like one,
// moves the handle, and what follows rests on it.
func TestAgent_Rollback(t *testing.T) {
	ctx := t.Context()
	_, c := start(t, 3)
	a, behind := c.Agent("a"), c.Agent("a")
	save(t, a, []byte("one"))
	if _, err := behind.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	save(t, a, []byte("two"))
	_, err := behind.Rollback(ctx, 1)
	wantError(t, err, hawser.ErrConflict)
	_, err = c.Agent("a").Rollback(ctx, 1) // has seen nothing
	wantError(t, err, hawser.ErrConflict)
	v, err := a.Rollback(ctx, 1)
	wantNumber(t, v, err, 3)
	if v.Origin != (hawser.VersionRef{Agent: a.ID(), Number: 1}) || a.Head() != 3 {
		t.Errorf("origin %v, head %d", v.Origin, a.Head())
	}
	cp, err := c.Agent("a").Restore(ctx)
	if err != nil || string(cp.State) != "one" {
		t.Errorf("restored %q: %v", cp.State, err)
	}
	v, err = a.Save(ctx, []byte("four"))
	wantNumber(t, v, err, 4)
	v, err = behind.Rollback(ctx, 2, client.Overwrite())
	wantNumber(t, v, err, 5)
	v, err = a.Rollback(ctx, 4, client.ExpectVersion(5))
	wantNumber(t, v, err, 6)
	_, err = a.Rollback(ctx, 9)
	wantError(t, err, hawser.ErrNotFound)
	_, err = a.Rollback(ctx, 0)
	wantError(t, err, hawser.ErrInvalid)
}

// A fork begins a chain of its own; neither side sees what the other does.
func TestAgent_Fork(t *testing.T) {
	ctx := t.Context()
	_, c := start(t, 3)
	a := c.Agent("a")
	save(t, a, []byte("one"))
	save(t, a, []byte("two"))
	v, err := a.Fork(ctx, "b")
	wantNumber(t, v, err, 1)
	if want := (hawser.VersionRef{Agent: a.ID(), Number: 2}); v.Origin != want || v.Agent.Name != "b" || a.Head() != 2 {
		t.Errorf("forked %+v, head %d", v, a.Head())
	}
	_, err = a.Fork(ctx, "b")
	wantError(t, err, hawser.ErrConflict)
	v, err = c.Agent("a").Fork(ctx, "c", client.AtVersion(1))
	wantNumber(t, v, err, 1)
	for name, want := range map[string]string{"a": "two", "b": "two", "c": "one"} {
		agent := c.Agent(name)
		cp, err := agent.Restore(ctx)
		if err != nil || string(cp.State) != want {
			t.Errorf("%s: %q, %v", name, cp.State, err)
		}
		save(t, agent, []byte("own of "+name))
	}
	if cp, err := c.Agent("b").Restore(ctx); err != nil || string(cp.State) != "own of b" {
		t.Errorf("restored %q: %v", cp.State, err)
	}
	_, err = c.Agent("nobody").Fork(ctx, "d")
	wantError(t, err, hawser.ErrNotFound)
	_, err = a.Fork(ctx, "e", client.AtVersion(9))
	wantError(t, err, hawser.ErrNotFound)
	_, err = a.Fork(ctx, "..")
	wantError(t, err, hawser.ErrInvalid)
	// An agent that was deleted long ago can be forked to again.
	b := c.Agent("b")
	for range hawser.IdempotencyWindow + 2 {
		if _, err := b.Save(ctx, []byte("x"), client.Overwrite()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Agent("b").Delete(ctx); err != nil {
		t.Fatal(err)
	}
	v, err = a.Fork(ctx, "b")
	wantNumber(t, v, err, hawser.IdempotencyWindow+6)
}

// Rollbacks and forks whose answer is lost are repeated under their id and
// executed once; an unknown one tells its outcome and can be repeated.
func TestHistory_LostAnswers(t *testing.T) {
	for method, do := range map[string]func(ctx context.Context, a *client.Agent, opts ...client.RequestOption) (hawser.Version, error){
		"Rollback": func(ctx context.Context, a *client.Agent, opts ...client.RequestOption) (hawser.Version, error) {
			var write []client.WriteOption
			for _, o := range opts {
				write = append(write, o)
			}
			return a.Rollback(ctx, 1, write...)
		},
		"Fork": func(ctx context.Context, a *client.Agent, opts ...client.RequestOption) (hawser.Version, error) {
			var fork []client.ForkOption
			for _, o := range opts {
				fork = append(fork, o)
			}
			return a.Fork(ctx, "fork", fork...)
		},
	} {
		t.Run(method, func(t *testing.T) {
			for name, fault := range map[string]fakecluster.Fault{
				"executed": fakecluster.BreakAfter, "not executed": fakecluster.Break, "silent": fakecluster.Swallow,
			} {
				synctest.Test(t, func(t *testing.T) {
					cluster, c := start(t, 3)
					a := c.Agent("a")
					save(t, a)
					cluster.SetFault(fakecluster.Script(method, fault, fault))
					v, err := do(t.Context(), a)
					if err != nil || cluster.MaxExecutions() != 1 {
						t.Errorf("%s: %v, %v, executed %d times", name, v, err, cluster.MaxExecutions())
					}
				})
			}
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				a := c.Agent("a")
				save(t, a)
				cluster.SetFault(fakecluster.Always(method, fakecluster.Swallow))
				_, err := do(t.Context(), a)
				id := wantUnknown(t, err).RequestID
				if id, err = hawser.ParseRequestID(id.String()); err != nil {
					t.Fatal(err)
				}
				cluster.SetFault(nil)
				out, err := c.Outcome(t.Context(), id)
				if err != nil || out.State != client.OutcomeDone || out.Version.Agent != id.Agent || out.Version.Number == 0 {
					t.Errorf("outcome %+v: %v", out, err)
				}
				v, err := do(t.Context(), c.Agent("a"), client.WithRequestID(id))
				wantNumber(t, v, err, out.Number)
				if n := cluster.Executions(id.Nonce); n != 1 {
					t.Errorf("executed %d times", n)
				}
				// The handle goes on after its own rollback, and a fork is not its own.
				v, err = a.Save(t.Context(), []byte("on"))
				wantNumber(t, v, err, map[string]uint64{"Rollback": 3, "Fork": 2}[method])
			})
			// What is not found now may be there when the attempt before arrives.
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				a := c.Agent("a")
				save(t, a)
				cluster.SetFault(fakecluster.Script(method, fakecluster.Hang, fakecluster.Refuse(hawser.CodeNotFound)))
				_, err := do(t.Context(), a)
				wantUnknown(t, err)
			})
		})
	}
}

// An id that was made for another kind of request is refused.
func TestHistory_ForeignRequestIDs(t *testing.T) {
	_, c := start(t, 1)
	a := c.Agent("a")
	save(t, a)
	of := func(kind hawser.RequestKind, agent *client.Agent) client.RequestOption {
		return client.WithRequestID(hawser.RequestID{Nonce: hawser.NewNonce(), Kind: kind, Agent: agent.ID()})
	}
	_, err := a.Rollback(t.Context(), 1, of(hawser.RequestSave, a))
	wantError(t, err, hawser.ErrInvalid)
	_, err = a.Save(t.Context(), nil, of(hawser.RequestRollback, a))
	wantError(t, err, hawser.ErrInvalid)
	_, err = a.Fork(t.Context(), "b", of(hawser.RequestFork, a))
	wantError(t, err, hawser.ErrInvalid)
	_, err = c.Outcome(t.Context(), hawser.RequestID{Kind: hawser.RequestFork + 1, Agent: a.ID()})
	wantError(t, err, hawser.ErrInvalid)
}

// Pins are set and ended however often they are asked for; one whose answer was
// lost is never called refused.
func TestAgent_Pin(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 3)
	a := c.Agent("a")
	save(t, a)
	for range 2 {
		if v, err := a.Pin(ctx, 1); err != nil || !v.Pinned || v.Number != 1 {
			t.Errorf("pin: %+v, %v", v, err)
		}
	}
	if v, err := a.Unpin(ctx, 1); err != nil || v.Pinned {
		t.Errorf("unpin: %+v, %v", v, err)
	}
	_, err := a.Pin(ctx, 7)
	wantError(t, err, hawser.ErrNotFound)
	_, err = a.Pin(ctx, 0)
	wantError(t, err, hawser.ErrInvalid)
	cluster.SetFault(fakecluster.Script("Pin", fakecluster.BreakAfter, fakecluster.Refuse(hawser.CodeRefused)))
	_, err = a.Pin(ctx, 1)
	wantError(t, err, hawser.ErrOutcomeUnknown)
}

// A diff tells paths of JSON and ranges of other bytes, and moves nothing.
func TestAgent_Diff(t *testing.T) {
	ctx := t.Context()
	_, c := start(t, 3)
	a := c.Agent("a")
	for _, state := range []string{`{"plan":{"step":1},"log":["a"]}`, `{"plan":{"step":2},"log":["a","b"]}`, "no JSON", "no JSOM!"} {
		save(t, a, []byte(state))
	}
	reader := c.Agent("a")
	d, err := reader.Diff(ctx, 1, 2)
	if err != nil || !d.JSON || d.From.Number != 1 || d.To.Number != 2 || len(d.Changes) != 2 || reader.Head() != 0 {
		t.Fatalf("%+v, head %d: %v", d, reader.Head(), err)
	}
	if got := fmt.Sprint(d.Changes); got != `[{changed /plan/step 1 2} {added /log/1  "b"}]` {
		t.Errorf("changes %s", got)
	}
	d, err = reader.Diff(ctx, 3, 0, client.Stale())
	if err != nil || d.JSON || len(d.Ranges) != 1 || d.To.Number != 4 || d.Ranges[0] != (client.Range{OldStart: 6, OldEnd: 7, NewStart: 6, NewEnd: 8}) {
		t.Errorf("%+v: %v", d, err)
	}
	_, err = reader.Diff(ctx, 1, 9)
	wantError(t, err, hawser.ErrNotFound)
	_, err = c.Agent("").Diff(ctx, 1, 2)
	wantError(t, err, hawser.ErrInvalid)
}

// What a version was computed from travels with it, and its impact is what was
// computed from it.
func TestClient_Impact(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 3)
	source := c.Agent("source")
	save(t, source)
	ref := hawser.VersionRef{Agent: source.ID(), Number: 1}
	v, err := c.Agent("derived").Save(ctx, nil, client.DerivedFrom(ref))
	if err != nil || len(v.DerivedFrom) != 1 || v.DerivedFrom[0] != ref {
		t.Fatalf("%+v: %v", v, err)
	}
	if _, err := c.Agent("derived").Fork(ctx, "fork"); err != nil {
		t.Fatal(err)
	}
	impact, err := c.Impact(ctx, ref)
	if err != nil || impact.Truncated || len(impact.Affected) != 2 || impact.Affected[0].Via != ref ||
		impact.Affected[0].Agent.Name != "derived" || impact.Affected[1].Agent.Name != "fork" || impact.Affected[1].Versions[0] != 1 {
		t.Errorf("%+v: %v", impact, err)
	}
	impact, err = c.Impact(ctx, ref, client.Limit(1), client.Stale())
	if err != nil || !impact.Truncated || len(impact.Affected) != 1 {
		t.Errorf("%+v: %v", impact, err)
	}
	_, err = c.Impact(ctx, hawser.VersionRef{Agent: source.ID(), Number: 5})
	wantError(t, err, hawser.ErrNotFound)
	_, err = c.Impact(ctx, hawser.VersionRef{})
	wantError(t, err, hawser.ErrInvalid)
	var calls atomic.Int64
	cluster.SetFault(func(_ context.Context, call fakecluster.Call) (any, error) {
		calls.Add(1)
		return call.Execute()
	})
	for _, refs := range [][]hawser.VersionRef{{{}}, {{Agent: source.ID()}}, {{Agent: hawser.AgentID{Namespace: "x", Name: "/"}, Number: 1}}, make([]hawser.VersionRef, hawser.MaxDerivedFrom+1)} {
		_, err = source.Save(ctx, nil, client.DerivedFrom(refs...))
		wantError(t, err, hawser.ErrInvalid)
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls were sent", calls.Load())
	}
}

// Verify yields every agent once, with what is bad, and says so when a node
// does not come to the end.
func TestClient_Verify(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 3)
	for _, name := range []string{"crew/a", "crew/b", "other"} {
		save(t, c.Agent(name))
		save(t, c.Agent(name+"/x"), text(500))
	}
	cluster.Damage(hawser.VersionRef{Agent: c.Agent("crew/b/x").ID(), Number: 1})
	collect := func(prefix string) (names []string, bad []client.BadVersion, last error) {
		for found, err := range c.Verify(ctx, prefix) {
			if last = err; err != nil {
				break
			}
			names, bad = append(names, found.Agent.Name), append(bad, found.Bad...)
		}
		return names, bad, last
	}
	names, bad, err := collect("crew")
	if err != nil || strings.Join(names, " ") != "crew/a crew/a/x crew/b crew/b/x" || len(bad) != 1 || bad[0].Number != 1 {
		t.Errorf("%v, %v: %v", names, bad, err)
	}
	for found, err := range c.Verify(ctx, "") {
		if err != nil || found.Versions != 1 {
			t.Errorf("%+v: %v", found, err)
		}
		break // leaving early is no error
	}
	cluster.SetFault(fakecluster.Script("Verify", fakecluster.Break, fakecluster.Refuse(hawser.CodeUnavailable)))
	if names, _, err = collect(""); err != nil || len(names) != 6 {
		t.Errorf("repeated before it began: %v: %v", names, err)
	}
	cluster.SetFault(fakecluster.Always("Verify", fakecluster.Cut(2)))
	names, _, err = collect("")
	wantError(t, err, hawser.ErrUnavailable)
	if len(names) != 2 {
		t.Errorf("%v before it broke", names)
	}
	cluster.SetFault(fakecluster.Always("Verify", func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		return resp.(fakecluster.Messages)[:3], err
	}))
	_, _, err = collect("")
	wantError(t, err, hawser.ErrUnavailable)
	for _, err := range c.Verify(ctx, "a//b") {
		wantError(t, err, hawser.ErrInvalid)
	}
}

// A stream that has begun outlasts the budget, and ends with its context.
func TestClient_VerifyTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		for i := range 10 {
			save(t, c.Agent(fmt.Sprint(i)))
		}
		cluster.SetFault(fakecluster.Always("Verify", func(_ context.Context, call fakecluster.Call) (any, error) {
			resp, err := call.Execute()
			return fakecluster.Slow{Messages: resp.(fakecluster.Messages), Pause: 400 * time.Millisecond}, err
		}))
		n := 0
		for _, err := range dialWith(t, cluster, client.Config{RequestTimeout: time.Second}).Verify(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 10 {
			t.Errorf("%d agents", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var last error
		for _, err := range c.Verify(ctx, "") {
			last = err
		}
		wantError(t, last, context.DeadlineExceeded)
		wantError(t, last, hawser.ErrDeadline)
	})
}
