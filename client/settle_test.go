// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
	"github.com/hawserdb/hawser/internal/wire"
)

// The save after an unknown one neither loses a step nor conflicts with
// itself, whenever the unknown one is executed, if at all.
func TestSave_AfterAnUnknownOutcome(t *testing.T) {
	type late int
	const (
		never   late = iota
		before       // before the error was returned
		between      // after the next save asked, before it was sent
	)
	for when, want := range map[late]uint64{never: 2, before: 3, between: 3} {
		t.Run(fmt.Sprint(when), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				a := c.Agent("a")
				v, err := a.Save(t.Context(), []byte("1"))
				wantNumber(t, v, err, 1)

				var straggler atomic.Pointer[fakecluster.Call]
				cluster.SetFault(fakecluster.Always("Save", func(ctx context.Context, call fakecluster.Call) (any, error) {
					straggler.Store(&call)
					if when == before {
						return fakecluster.Swallow(ctx, call)
					}
					return fakecluster.Hang(ctx, call)
				}))
				_, err = a.Save(t.Context(), []byte("2"))
				id := wantUnknown(t, err).RequestID
				cluster.SetFault(fakecluster.Script("Save", func(_ context.Context, call fakecluster.Call) (any, error) {
					if when == between {
						if _, err := straggler.Load().Execute(); err != nil {
							t.Error(err)
						}
					}
					return call.Execute()
				}))
				v, err = a.Save(t.Context(), []byte("3"))
				wantNumber(t, v, err, want)
				if when == never {
					if _, err := straggler.Load().Execute(); err == nil || cluster.Executions(id.Nonce) != 0 {
						t.Errorf("the straggler was executed over a newer version")
					}
				}
				v, err = a.Save(t.Context(), []byte("4"))
				wantNumber(t, v, err, want+1)
			})
		})
	}
}

// An unknown outcome does not hide somebody else's write.
func TestSave_AfterAnUnknownOutcomeStillConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		cluster.SetFault(fakecluster.Always("Save", fakecluster.Hang))
		_, err := a.Save(t.Context(), []byte("1"))
		wantUnknown(t, err)
		cluster.SetFault(nil)
		v, err := c.Agent("a").Save(t.Context(), []byte("other"))
		wantNumber(t, v, err, 1)
		_, err = a.Save(t.Context(), []byte("2"))
		wantError(t, err, hawser.ErrConflict)
		if a.Head() != 0 {
			t.Errorf("the handle moved to %d", a.Head())
		}
	})
}

// A delete with an unknown outcome is settled in the same way.
func TestDelete_UnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		v, err := a.Save(t.Context(), []byte("1"))
		wantNumber(t, v, err, 1)
		cluster.SetFault(fakecluster.Always("Delete", fakecluster.Swallow))
		unknown := wantUnknown(t, a.Delete(t.Context()))
		cluster.SetFault(nil)
		out, err := c.Outcome(t.Context(), unknown.RequestID)
		if err != nil || out.State != client.OutcomeDone || out.Number != 2 {
			t.Errorf("outcome %+v, %v", out, err)
		}
		if err := c.Agent("a").Delete(t.Context(), client.WithRequestID(unknown.RequestID)); err != nil {
			t.Errorf("repeating the delete: %v", err)
		}
		v, err = a.Save(t.Context(), []byte("3"))
		wantNumber(t, v, err, 3)
	})
}

// If the open outcome cannot be asked for, nothing is sent and nothing is
// called unknown.
func TestSave_WhileTheOpenOutcomeCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		cluster.SetFault(fakecluster.Always("Save", fakecluster.Swallow))
		_, err := a.Save(t.Context(), []byte("1"))
		wantUnknown(t, err)
		cluster.SetFault(nil)
		cluster.Lead(-1)
		_, err = a.Save(t.Context(), []byte("2"))
		wantError(t, err, hawser.ErrUnavailable)
		if errors.Is(err, hawser.ErrOutcomeUnknown) {
			t.Errorf("the second save was never sent: %v", err)
		}
		cluster.Lead(1)
		v, err := a.Save(t.Context(), []byte("2"))
		wantNumber(t, v, err, 2)
	})
}

// A repeat of an earlier request stays unknown while nobody can tell, and says
// so when it is too late to tell.
func TestSave_RepeatOfAnEarlierRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		expect := uint64(0)
		id := hawser.RequestID{Nonce: hawser.NewNonce(), Kind: hawser.RequestSave, Agent: a.ID(), Expect: &expect}
		cluster.Lead(-1)
		_, err := a.Save(t.Context(), nil, client.WithRequestID(id))
		wantUnknown(t, err)
		cluster.Lead(0)
		writer := c.Agent("a")
		for range hawser.IdempotencyWindow + 1 {
			if _, err := writer.Save(t.Context(), []byte("w")); err != nil {
				t.Fatal(err)
			}
		}
		_, err = a.Save(t.Context(), nil, client.WithRequestID(id))
		wantError(t, err, hawser.ErrRequestExpired)
		out, err := c.Outcome(t.Context(), id)
		if err != nil || out.State != client.OutcomeExpired {
			t.Errorf("outcome %+v, %v", out, err)
		}
	})
}

// Property: whatever a hostile network does with attempts and answers, every
// save ends as success, as a failure that was not executed, or as unknown, is
// executed at most once, and the handle can go on.
func TestSave_EveryEndIsTrue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cluster, c := start(t, 3)
		var mu sync.Mutex // guards rng and sent
		var sent hawser.Nonce
		cluster.SetFault(func(ctx context.Context, call fakecluster.Call) (any, error) {
			if call.Method != "Save" {
				return call.Execute()
			}
			mu.Lock()
			sent = hawser.Nonce(call.Request.(*hawserv1.SaveRequest).GetRequest().GetNonce())
			fault := randomFault(rng)
			mu.Unlock()
			return fault(ctx, call)
		})
		a := c.Agent("a")
		ends := map[string]int{}
		for step := range 400 {
			mu.Lock()
			sent = hawser.Nonce{}
			budget := time.Duration(1+rng.IntN(1500)) * time.Millisecond
			mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			_, err := a.Save(ctx, fmt.Append(nil, "step ", step))
			cancel()
			mu.Lock()
			nonce := sent
			mu.Unlock()
			executed := cluster.Executions(nonce)
			switch {
			case err == nil:
				ends["success"]++
				if executed != 1 {
					t.Fatalf("step %d: success, executed %d times", step, executed)
				}
			case errors.Is(err, hawser.ErrOutcomeUnknown):
				ends["unknown"]++
				if nonce == (hawser.Nonce{}) {
					t.Fatalf("step %d: unknown, but never sent", step)
				}
			default:
				ends["failure"]++
				if executed != 0 && nonce != (hawser.Nonce{}) {
					t.Fatalf("step %d: %v, executed %d times", step, err, executed)
				}
			}
			if errors.Is(err, hawser.ErrConflict) {
				t.Fatalf("step %d: the only writer met a conflict: %v", step, err)
			}
			synctest.Wait()
		}
		if cluster.MaxExecutions() != 1 {
			t.Errorf("a request was executed %d times", cluster.MaxExecutions())
		}
		if ends["success"] == 0 || ends["unknown"] == 0 || ends["failure"] == 0 {
			t.Errorf("the faults do not reach every end: %v", ends)
		}
	})
}

func randomFault(rng *rand.Rand) fakecluster.Fault {
	faults := []fakecluster.Fault{
		fakecluster.Pass, fakecluster.Break, fakecluster.BreakAfter, fakecluster.Swallow, fakecluster.Hang,
		fakecluster.Refuse(hawser.CodeUnavailable), fakecluster.Refuse(hawser.CodeOverloaded),
		fakecluster.Refuse(hawser.CodeOutcomeUnknown), fakecluster.Refuse(hawser.CodeStorageFull),
		fakecluster.Redirect(wire.Leader{ID: "n3-00000003", Address: "node3.test:7420"}),
		func(context.Context, fakecluster.Call) (any, error) {
			return nil, status.Error(codes.Internal, "stream reset")
		},
	}
	return faults[rng.IntN(len(faults))]
}

// A late repeat of an old request returns its version and does not move the
// handle back to it.
func TestSave_LateRepeatDoesNotMoveTheHandleBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		cluster.SetFault(fakecluster.Always("Save", fakecluster.Swallow))
		_, err := a.Save(t.Context(), []byte("1"))
		id := wantUnknown(t, err).RequestID
		cluster.SetFault(nil)
		v, err := a.Save(t.Context(), []byte("2"))
		wantNumber(t, v, err, 2)
		v, err = a.Save(t.Context(), []byte("1"), client.WithRequestID(id))
		wantNumber(t, v, err, 1)
		v, err = a.Save(t.Context(), []byte("3"))
		wantNumber(t, v, err, 3)
	})
}
