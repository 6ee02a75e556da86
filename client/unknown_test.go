// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

func wantUnknown(t *testing.T, err error) *hawser.UnknownOutcomeError {
	t.Helper()
	unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err)
	if !ok || !errors.Is(err, hawser.ErrOutcomeUnknown) {
		t.Fatalf("error %v, want an unknown outcome", err)
	}
	return unknown
}

// A write whose answer is lost is repeated under the same id with a rising
// attempt, at another node, executed once, and its version returned.
func TestSave_LostAnswerIsRepeatedUnderTheSameID(t *testing.T) {
	for name, fault := range map[string]fakecluster.Fault{
		"executed, connection broke":     fakecluster.BreakAfter,
		"not executed, connection broke": fakecluster.Break,
		"executed, no answer":            fakecluster.Swallow,
		"not executed, no answer":        fakecluster.Hang,
		"node says unknown":              fakecluster.Refuse(hawser.CodeOutcomeUnknown),
		"node says unavailable":          fakecluster.Refuse(hawser.CodeUnavailable),
		"node says overloaded":           fakecluster.Refuse(hawser.CodeOverloaded),
		"node's deadline":                fakecluster.Refuse(hawser.CodeDeadline),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				var requests recorder[*hawserv1.RequestID]
				var visited visits
				script := fakecluster.Script("Save", fault, fault)
				cluster.SetFault(visited.around(func(ctx context.Context, call fakecluster.Call) (any, error) {
					requests.add(call.Request.(*hawserv1.SaveRequest).GetRequest())
					return script(ctx, call)
				}))
				v, err := c.Agent("a").Save(t.Context(), []byte("x"))
				wantNumber(t, v, err, 1)
				ids, nodes := requests.take(), visited.take()
				if len(ids) != 3 || cluster.MaxExecutions() != 1 {
					t.Fatalf("%d attempts, executed %d times", len(ids), cluster.MaxExecutions())
				}
				for i, id := range ids {
					if id.GetAttempt() != uint32(i) || string(id.GetNonce()) != string(ids[0].GetNonce()) ||
						id.GetSeen() != ids[0].GetSeen() || id.GetGeneration() != ids[0].GetGeneration() {
						t.Errorf("attempt %d has id %v, the first had %v", i, id, ids[0])
					}
				}
				if nodes[0] == nodes[1] || nodes[1] == nodes[2] || nodes[0] == nodes[2] {
					t.Errorf("attempts went to nodes %v", nodes)
				}
			})
		})
	}
}

// When time runs out after a write was sent, the error matches both the
// context's and the unknown outcome, and its id tells the outcome later.
func TestSave_UnknownOutcome(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fakecluster.Fault
		want  client.OutcomeState
	}{
		"executed":     {fakecluster.Swallow, client.OutcomeDone},
		"not executed": {fakecluster.Hang, client.OutcomeNotDone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				cluster.SetFault(fakecluster.Always("Save", tc.fault))
				a := c.Agent("a")
				var err error
				took := elapsed(func() { _, err = a.Save(t.Context(), []byte("x")) })
				unknown := wantUnknown(t, err)
				wantError(t, err, context.DeadlineExceeded)
				if took != client.DefaultRequestTimeout {
					t.Errorf("took %v, the budget is %v", took, client.DefaultRequestTimeout)
				}
				id, err := hawser.ParseRequestID(unknown.RequestID.String())
				if err != nil {
					t.Fatal(err)
				}
				cluster.SetFault(nil)
				out, err := c.Outcome(t.Context(), id)
				if err != nil || out.State != tc.want {
					t.Fatalf("outcome %+v, %v, want %s", out, err, tc.want)
				}
				// Repeating it, from another client, executes it once altogether.
				v, err := dial(t, cluster).Agent("a").Save(t.Context(), []byte("x"), client.WithRequestID(id))
				wantNumber(t, v, err, 1)
				if n := cluster.Executions(id.Nonce); n != 1 {
					t.Errorf("executed %d times", n)
				}
				_, err = a.Save(t.Context(), []byte("y"), client.WithRequestID(id))
				wantError(t, err, hawser.ErrRequestMismatch)
			})
		})
	}
}

// A conflict that a later state of the agent may undo does not end the doubt,
// and an unknown outcome does not pass for a conflict.
func TestSave_ConflictThatMayPassAfterALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.SetFault(fakecluster.Script("Save", fakecluster.BreakAfter, fakecluster.Refuse(hawser.CodeConflict)))
		_, err := c.Agent("a").Save(t.Context(), []byte("x"))
		if !errors.Is(err, hawser.ErrOutcomeUnknown) || errors.Is(err, hawser.ErrConflict) {
			t.Errorf("error %v", err)
		}
	})
}

// Once an attempt may have been executed, only an answer of the state machine
// ends the doubt; refusals from before it do not.
func TestSave_RefusalAfterALostAnswer(t *testing.T) {
	for code, known := range map[hawser.Code]bool{
		hawser.CodeStorageFull: false, hawser.CodePermissionDenied: false, hawser.CodeInternal: false,
		hawser.CodeWrongGeneration: false, hawser.CodeRequestExpired: false, hawser.CodeTooLarge: false,
		hawser.CodeNotFound: false, hawser.CodeKeyframeNeeded: false, hawser.CodeFenced: true, hawser.CodeRequestMismatch: true,
	} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				cluster.SetFault(fakecluster.Script("Save", fakecluster.BreakAfter, fakecluster.Refuse(code)))
				_, err := c.Agent("a").Save(t.Context(), []byte("x"))
				if errors.Is(err, hawser.ErrOutcomeUnknown) == known {
					t.Errorf("error %v", err)
				}
				wantError(t, err, &hawser.Error{Code: code})
			})
		})
	}
}

// A first refusal is a failure and is not repeated; a defect of the node may
// have struck after the execution.
func TestSave_FirstRefusalIsFinal(t *testing.T) {
	for _, code := range hawser.Codes() {
		if code.Retry() != hawser.RetryNever || code == hawser.CodeDeadline || code == hawser.CodeCanceled {
			continue // of the node's own time, which is not the call's
		}
		if code == hawser.CodeRequestExpired || code == hawser.CodeWrongGeneration {
			continue // sent again under a new id
		}
		t.Run(code.String(), func(t *testing.T) {
			cluster, c := start(t, 3)
			var calls atomic.Int64
			cluster.SetFault(func(ctx context.Context, call fakecluster.Call) (any, error) {
				calls.Add(1)
				return fakecluster.Refuse(code)(ctx, call)
			})
			_, err := c.Agent("a").Save(t.Context(), []byte("x"))
			wantError(t, err, &hawser.Error{Code: code})
			if unknown := errors.Is(err, hawser.ErrOutcomeUnknown); unknown != (code == hawser.CodeInternal) {
				t.Errorf("unknown: %v, error %v", unknown, err)
			}
			if calls.Load() != 1 {
				t.Errorf("%d attempts", calls.Load())
			}
		})
	}
}

// What was never executed is a failure, however long it was tried: nothing
// could be reached, nobody led, everybody was busy.
func TestSave_NeverExecutedIsNeverUnknown(t *testing.T) {
	for name, tc := range map[string]struct {
		arrange func(cluster *fakecluster.Cluster)
		want    error
	}{
		"all down":        {func(c *fakecluster.Cluster) { c.Stop() }, hawser.ErrUnavailable},
		"no leader":       {func(c *fakecluster.Cluster) { c.Lead(-1) }, hawser.ErrUnavailable},
		"no leader found": {func(c *fakecluster.Cluster) { c.SetFault(fakecluster.Refuse(hawser.CodeNotLeader)) }, hawser.ErrUnavailable},
		"overloaded":      {func(c *fakecluster.Cluster) { c.SetFault(fakecluster.Refuse(hawser.CodeOverloaded)) }, hawser.ErrOverloaded},
		"unreachable":     {func(c *fakecluster.Cluster) { c.Blackhole(0, true); c.Blackhole(1, true); c.Blackhole(2, true) }, hawser.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				tc.arrange(cluster)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				var err error
				took := elapsed(func() { _, err = c.Agent("a").Save(ctx, []byte("x")) })
				wantError(t, err, tc.want)
				wantError(t, err, context.DeadlineExceeded)
				if errors.Is(err, hawser.ErrOutcomeUnknown) || took != 3*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

// A handle of another life of the cluster is refused until it restores.
func TestSave_WrongGeneration(t *testing.T) {
	cluster, c := start(t, 1)
	a := c.Agent("a")
	v, err := a.Save(t.Context(), []byte("1"))
	wantNumber(t, v, err, 1)
	cluster.NewGeneration()
	for range 2 {
		_, err = a.Save(t.Context(), []byte("2"))
		wantError(t, err, hawser.ErrWrongGeneration)
		if _, err := c.Agent("a").Show(t.Context()); err != nil { // tells the client the new generation
			t.Fatal(err)
		}
	}
	if _, err := a.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err = a.Save(t.Context(), []byte("2"))
	wantNumber(t, v, err, 2)

	cluster.NewGeneration() // what rests on no old number goes through
	v, err = c.Agent("b").Save(t.Context(), []byte("1"))
	wantNumber(t, v, err, 1)
	cluster.NewGeneration()
	v, err = a.Save(t.Context(), []byte("3"), client.Overwrite())
	wantNumber(t, v, err, 3)
	cluster.NewGeneration()
	_, err = a.Save(t.Context(), []byte("4"), client.ExpectVersion(0))
	wantError(t, err, hawser.ErrConflict)
	_, err = a.Save(t.Context(), []byte("5"))
	wantError(t, err, hawser.ErrWrongGeneration)
}

// A node that answers with another version than was saved is not believed.
func TestSave_LyingNode(t *testing.T) {
	cluster, c := start(t, 1)
	cluster.SetFault(fakecluster.Always("Save", func(_ context.Context, call fakecluster.Call) (any, error) {
		return &hawserv1.SaveResponse{Version: &hawserv1.Version{Number: 7, Agent: call.Request.(*hawserv1.SaveRequest).GetAgent()}}, nil
	}))
	a := c.Agent("a")
	_, err := a.Save(t.Context(), []byte("x"))
	wantUnknown(t, err)
	wantError(t, err, hawser.ErrCorrupt)
	if a.Head() != 0 {
		t.Errorf("the handle moved to %d", a.Head())
	}
}
