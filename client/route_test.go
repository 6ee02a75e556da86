// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
	"github.com/hawserdb/hawser/internal/wire"
)

// visits records which nodes the calls reach, in order.
type visits struct{ recorder[int] }

func (v *visits) around(fault fakecluster.Fault) fakecluster.Fault {
	return func(ctx context.Context, call fakecluster.Call) (any, error) {
		v.add(call.Node)
		return fault(ctx, call)
	}
}

// save saves a state, "x" if none is given.
func save(t *testing.T, a *client.Agent, state ...[]byte) {
	t.Helper()
	if _, err := a.Save(t.Context(), append(state, []byte("x"))[0]); err != nil {
		t.Fatal(err)
	}
}

// Writes and linearizable reads go to the leader as soon as it is known and
// connected, also when only another node is configured; stale reads do not.
func TestRoute_PrefersTheLeader(t *testing.T) {
	for name, endpoints := range map[string][]int{"all endpoints": {0, 1, 2}, "one of three": {0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3, endpoints...)
				cluster.Lead(2)
				var v visits
				cluster.SetFault(v.around(fakecluster.Pass))
				a := c.Agent("a")
				for range 2 { // learns who leads, then connects there
					save(t, a)
					synctest.Wait()
				}
				v.take()
				for range 5 {
					save(t, a)
					if _, err := a.Restore(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for _, node := range v.take() {
					if node != 2 {
						t.Fatalf("a call went to node %d, the leader is 2", node)
					}
				}
				if len(endpoints) == 1 {
					return
				}
				reached := map[int]bool{}
				for range 9 {
					if _, err := a.Restore(t.Context(), client.Stale()); err != nil {
						t.Fatal(err)
					}
				}
				for _, node := range v.take() {
					reached[node] = true
				}
				if len(reached) != 3 {
					t.Errorf("stale reads reached nodes %v", reached)
				}
			})
		})
	}
}

// When the leader dies, saves go on at the next one, and the client learns
// where it is.
func TestRoute_LeaderChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		for range 3 {
			save(t, a)
			synctest.Wait()
		}
		cluster.StopNode(0)
		time.AfterFunc(700*time.Millisecond, func() { cluster.Lead(1) })
		took := elapsed(func() { save(t, a) })
		if took < 700*time.Millisecond || took > 1200*time.Millisecond {
			t.Errorf("the save took %v, there was no leader for 700ms", took)
		}
		save(t, c.Agent("another")) // whoever served the first told who leads
		synctest.Wait()
		var v visits
		cluster.SetFault(v.around(fakecluster.Pass))
		save(t, a)
		if nodes := v.take(); len(nodes) != 1 || nodes[0] != 1 {
			t.Errorf("the next save went to %v", nodes)
		}
		if cluster.MaxExecutions() != 1 {
			t.Errorf("executed %d times", cluster.MaxExecutions())
		}
	})
}

// One endpoint of three is enough, whether its node forwards or points to the
// leader, and whether or not the leader's own address can be reached.
func TestRoute_OneEndpointOfThree(t *testing.T) {
	for name, tc := range map[string]struct {
		arrange func(cluster *fakecluster.Cluster)
		limit   time.Duration
	}{
		"it forwards":          {func(*fakecluster.Cluster) {}, 10 * time.Millisecond},
		"leader's address bad": {func(c *fakecluster.Cluster) { c.Advertise(1, "nowhere.test:1") }, 10 * time.Millisecond},
		"no address":           {func(c *fakecluster.Cluster) { c.Advertise(1, "") }, 10 * time.Millisecond},
		"nonsense address":     {func(c *fakecluster.Cluster) { c.Advertise(1, "://") }, 10 * time.Millisecond},
		"address hangs":        {func(c *fakecluster.Cluster) { c.Blackhole(1, true) }, 10 * time.Millisecond},
		"it points":            {func(c *fakecluster.Cluster) { c.SetFault(redirectFrom(0, "node2.test:7420")) }, 10 * time.Millisecond},
		"it points once to a dead node": {func(c *fakecluster.Cluster) {
			c.SetFault(fakecluster.Script("Save", fakecluster.Redirect(wire.Leader{ID: "dead", Address: "nowhere.test:1"})))
		}, 100 * time.Millisecond},
		"it points once to a node that hangs": {func(c *fakecluster.Cluster) {
			c.Blackhole(2, true)
			c.SetFault(fakecluster.Script("Save", fakecluster.Redirect(wire.Leader{ID: "n3", Address: "node3.test:7420"})))
		}, 600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3, 0)
				cluster.Lead(1)
				tc.arrange(cluster)
				a := c.Agent("a")
				for i := range 10 {
					if took := elapsed(func() { save(t, a) }); took > tc.limit {
						t.Errorf("save %d took %v", i, took)
					}
					synctest.Wait()
				}
			})
		})
	}
}

func redirectFrom(node int, address string) fakecluster.Fault {
	return func(ctx context.Context, call fakecluster.Call) (any, error) {
		if call.Node == node {
			return fakecluster.Redirect(wire.Leader{ID: "somebody", Address: address})(ctx, call)
		}
		return call.Execute()
	}
}

// An endpoint that hangs costs the first call its attempt's time, and the
// calls after it nothing.
func TestRoute_FailedEndpointIsPutBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.Lead(1)
		cluster.Blackhole(0, true)
		a := c.Agent("a")
		slow := 0
		for range 20 {
			if elapsed(func() { save(t, a) }) > 100*time.Millisecond {
				slow++
			}
			synctest.Wait()
		}
		if slow > 1 {
			t.Errorf("%d of 20 saves waited for the dead endpoint", slow)
		}
	})
}

// A node that points to itself or in circles does not make the client spin.
func TestRoute_HintsInCirclesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		var v visits
		n := 0
		cluster.SetFault(v.around(func(ctx context.Context, call fakecluster.Call) (any, error) {
			n++
			hint := wire.Leader{ID: fmt.Sprint("n", n), Address: fmt.Sprintf("node%d.test:7420", 1+(call.Node+1)%3)}
			if n%2 == 0 {
				hint.Address = fmt.Sprintf("made-up-%d.test:7420", n)
			}
			return fakecluster.Redirect(hint)(ctx, call)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Agent("a").Save(ctx, []byte("x"))
		wantError(t, err, context.DeadlineExceeded)
		if errors.Is(err, hawser.ErrOutcomeUnknown) {
			t.Error(err)
		}
		if visited := len(v.take()); visited < 3 || visited > 60 {
			t.Errorf("%d attempts in 2s", visited)
		}
	})
}

// A node that takes calls and does not answer is not asked again at once.
func TestRoute_HangingNodeIsPutBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		save(t, a)
		cluster.SetFault(func(ctx context.Context, call fakecluster.Call) (any, error) {
			if call.Node == 1 {
				return fakecluster.Hang(ctx, call)
			}
			return call.Execute()
		})
		took := elapsed(func() {
			for range 12 {
				if _, err := a.Restore(t.Context(), client.Stale()); err != nil {
					t.Fatal(err)
				}
			}
		})
		if took > 600*time.Millisecond {
			t.Errorf("12 stale reads took %v with one node of three hanging", took)
		}
	})
}

// A node that points to the leader is believed at once, before others that are
// connected already.
func TestRoute_FollowsTheHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3, 0, 1)
		cluster.Lead(2)
		a := c.Agent("a")
		cluster.SetFault(fakecluster.Always("Show", func(context.Context, fakecluster.Call) (any, error) {
			return &hawserv1.ShowResponse{}, nil
		}))
		for range 2 { // connects both, tells nothing of a leader
			if _, err := a.Show(t.Context(), client.Stale()); err != nil {
				t.Fatal(err)
			}
		}
		var v visits
		cluster.SetFault(v.around(func(ctx context.Context, call fakecluster.Call) (any, error) {
			if call.Node != 2 {
				return fakecluster.Redirect(wire.Leader{ID: "n3-00000003", Address: "node3.test:7420"})(ctx, call)
			}
			return call.Execute()
		}))
		save(t, a)
		if nodes := v.take(); len(nodes) != 2 || nodes[1] != 2 {
			t.Errorf("the save went to %v", nodes)
		}
	})
}

// A leader's address that hangs holds up no read that any node can answer.
func TestRoute_UnreachableHintIsNotUsedForStaleReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3, 0)
		cluster.Lead(1)
		cluster.Blackhole(1, true)
		a := c.Agent("a")
		save(t, a)
		took := elapsed(func() {
			for range 6 {
				if _, err := a.Restore(t.Context(), client.Stale()); err != nil {
					t.Fatal(err)
				}
			}
		})
		if took > 10*time.Millisecond {
			t.Errorf("6 stale reads took %v", took)
		}
	})
}

// What a node says about the leader of an older term does not count.
func TestRoute_OlderTermDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.Lead(1)
		a := c.Agent("a")
		for range 2 {
			save(t, a)
			synctest.Wait()
		}
		status, err := c.Cluster().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cluster.SetFault(fakecluster.Always("Show", func(context.Context, fakecluster.Call) (any, error) {
			return &hawserv1.ShowResponse{Header: &hawserv1.Header{
				Generation: uint64(status.Generation), Term: status.Term - 1,
				Node: "n2-00000002", Leader: "n1-00000001", LeaderAddress: "node1.test:7420",
			}}, nil
		}))
		if _, err := a.Show(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var v visits
		cluster.SetFault(v.around(fakecluster.Pass))
		save(t, a)
		if nodes := v.take(); len(nodes) != 1 || nodes[0] != 1 {
			t.Errorf("the save went to %v, the leader is 1", nodes)
		}
	})
}
