// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// With one endpoint there is nowhere else to go, so a slow answer is waited
// for; with several it is not.
func TestRoute_AttemptTimeOnlyWhereThereIsAnother(t *testing.T) {
	slow := func(ctx context.Context, call fakecluster.Call) (any, error) {
		select {
		case <-time.After(3 * time.Second):
			return call.Execute()
		case <-ctx.Done():
			return fakecluster.Hang(ctx, call)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 1)
		var v visits
		cluster.SetFault(v.around(slow))
		save(t, c.Agent("a"))
		if n := len(v.take()); n != 1 {
			t.Errorf("%d attempts at the only node", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.SetFault(fakecluster.Script("Save", slow))
		if took := elapsed(func() { save(t, c.Agent("a")) }); took < 500*time.Millisecond || took > 600*time.Millisecond {
			t.Errorf("went on after %v", took)
		}
	})
}

// Attempts get longer, so that an answer that takes longer than the first
// attempt's time arrives in the end.
func TestRoute_AttemptTimeGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		save(t, c.Agent("a"))
		cluster.SetFault(func(ctx context.Context, call fakecluster.Call) (any, error) {
			select {
			case <-time.After(1800 * time.Millisecond):
				return call.Execute()
			case <-ctx.Done():
				return fakecluster.Hang(ctx, call)
			}
		})
		if _, err := c.Agent("a").Show(t.Context()); err != nil {
			t.Errorf("a slow read: %v", err)
		}
	})
}

// The caller's cancellation ends a call at every stage: before it is sent,
// while connecting, while the answer is awaited, during the backoff.
func TestCall_CancellationAtEachStage(t *testing.T) {
	for name, tc := range map[string]struct {
		arrange func(cluster *fakecluster.Cluster)
		after   time.Duration
		unknown bool
	}{
		"before":     {func(*fakecluster.Cluster) {}, 0, false},
		"connecting": {func(c *fakecluster.Cluster) { c.Blackhole(0, true); c.Blackhole(1, true); c.Blackhole(2, true) }, 100 * time.Millisecond, false},
		"awaiting":   {func(c *fakecluster.Cluster) { c.SetFault(fakecluster.Hang) }, 100 * time.Millisecond, true},
		"backoff":    {func(c *fakecluster.Cluster) { c.Lead(-1) }, 5 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				tc.arrange(cluster)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.after == 0 {
					cancel()
				} else {
					time.AfterFunc(tc.after, cancel)
				}
				var err error
				took := elapsed(func() { _, err = c.Agent("a").Save(ctx, []byte("x")) })
				wantError(t, err, context.Canceled)
				if unknown := errors.Is(err, hawser.ErrOutcomeUnknown); unknown != tc.unknown || took != tc.after {
					t.Errorf("after %v: %v", took, err)
				}
				if !tc.unknown {
					wantError(t, err, hawser.ErrCanceled)
				}
			})
		})
	}
}

// Calls that their callers give up do not turn the others away from the leader.
func TestRoute_CancellationIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.Lead(1)
		a := c.Agent("a")
		for range 3 { // until the leader is known
			save(t, a)
		}
		for range 5 {
			cluster.SetFault(fakecluster.Hang)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err := c.Agent("b").Save(ctx, []byte("x"))
			wantError(t, err, context.Canceled)
			var v visits
			cluster.SetFault(v.around(fakecluster.Pass))
			save(t, a)
			if at := v.take(); len(at) != 1 || at[0] != 1 {
				t.Errorf("the next call went to %v, the leader is 1", at)
			}
		}
	})
}

// A call that runs out of time while it is refused says why it was refused.
func TestCall_TellsTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 1)
		overloaded := fakecluster.Refuse(hawser.CodeOverloaded)
		cluster.SetFault(fakecluster.Script("Save", overloaded, overloaded, fakecluster.Refuse(hawser.CodeDeadline), func(ctx context.Context, call fakecluster.Call) (any, error) {
			<-ctx.Done()
			return fakecluster.Refuse(hawser.CodeDeadline)(ctx, call)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Agent("a").Save(ctx, []byte("x"))
		wantError(t, err, hawser.ErrOverloaded)
	})
}

// Close ends what is under way without lying about it.
func TestClient_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.SetFault(fakecluster.Hang)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Agent("a").Save(t.Context(), []byte("x"))
			wantUnknown(t, err)
		})
		wg.Go(func() {
			_, err := c.Agent("b").Restore(t.Context())
			wantError(t, err, hawser.ErrCanceled)
		})
		synctest.Wait()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		_, err := c.Agent("a").Save(t.Context(), []byte("x"))
		wantError(t, err, hawser.ErrCanceled)
		wantError(t, c.Ready(t.Context()), hawser.ErrCanceled)
	})
}

// Ready waits for a leader and says why it gave up.
func TestClient_Ready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.Lead(-1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Ready(ctx)
		wantError(t, err, hawser.ErrUnavailable)
		wantError(t, err, context.DeadlineExceeded)
		time.AfterFunc(20*time.Second, func() { cluster.Lead(2) })
		if took := elapsed(func() { err = c.Ready(t.Context()) }); err != nil || took < 20*time.Second || took > 21*time.Second {
			t.Errorf("ready after %v: %v", took, err)
		}
	})
}

func TestDial_RefusesWhatCannotWork(t *testing.T) {
	for name, cfg := range map[string]client.Config{
		"no port":          {Endpoints: []string{"localhost"}},
		"no host":          {Endpoints: []string{":7420"}},
		"a URL":            {Endpoints: []string{"http://localhost:7420/"}},
		"empty":            {Endpoints: []string{""}},
		"namespace":        {Namespace: "Über"},
		"negative timeout": {RequestTimeout: -1},
		"long instance":    {Instance: string(make([]byte, hawser.MaxInstance+1))},
	} {
		if _, err := client.Dial(cfg); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := client.Dial(client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Namespace() != hawser.DefaultNamespace || c.Instance() == "" {
		t.Errorf("namespace %q, instance %q", c.Namespace(), c.Instance())
	}
	_ = c.Close()
}
