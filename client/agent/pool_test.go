// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/hawsertest"
)

var (
	poolAgents  = flag.Int("pool.agents", 40, "agents of TestRunPool")
	poolMembers = flag.Int("pool.members", 3, "members of TestRunPool")
	poolNodes   = flag.Int("pool.nodes", 1, "nodes of TestRunPool")
)

// cable is a relay to a node that can be cut: what is sent then waits for ever.
type cable struct {
	net.Listener

	cut chan struct{}
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{l, make(chan struct{})}
	var relays sync.WaitGroup
	relays.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			t.Cleanup(func() { _, _ = from.Close(), there.Close() })
			relays.Go(func() { c.relay(there, from) })
			relays.Go(func() { c.relay(from, there) })
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return c
}

func (c *cable) relay(to io.Writer, from io.Reader) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-c.cut:
			return
		default:
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

// watched is who does steps of which agent.
type watched struct {
	mu    sync.Mutex
	by    map[string]string    // who is in a step of it
	last  map[string]string    // who has done one last
	since map[string]time.Time // since when that one does
	twice []string
}

func (w *watched) enter(name, instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.by[name]; other != "" {
		w.twice = append(w.twice, fmt.Sprintf("%s by %s and %s", name, other, instance))
	}
	if w.by[name] = instance; w.last[name] != instance {
		w.last[name], w.since[name] = instance, time.Now()
	}
}

func (w *watched) leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.by, name)
}

func (w *watched) spread() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, instance := range w.last {
		n[instance]++
	}
	return n
}

// Claim: the members of a pool run all its agents, each one of them, about as many
// each; when one is cut off its agents run elsewhere soon after their time to live,
// and when one comes it gets its share. No agent is run by two, and no step is lost
// that was saved.
func TestRunPool(t *testing.T) {
	cluster := hawsertest.StartCluster(t, *poolNodes)
	const ttl = time.Second
	w := &watched{by: map[string]string{}, last: map[string]string{}, since: map[string]time.Time{}}
	agents := *poolAgents
	for i := range agents {
		if _, err := cluster.Client().Agent(fmt.Sprint("crew/", i)).Save(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	join := func(instance string) (*cable, func()) {
		cable := newCable(t, cluster.Endpoint(0))
		c, err := client.Dial(client.Config{Endpoints: []string{cable.Addr().String()}, Instance: instance})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		pool := agent.Pool[tally]{Prefix: "crew", TTL: ttl, Logger: slog.New(slog.DiscardHandler)}
		pool.New = func(name string) (agent.Config[tally], agent.Step[tally]) {
			cfg := agent.Config[tally]{Logger: pool.Logger, Every: 10}
			return cfg, func(ctx context.Context, turn *agent.Turn[tally]) error {
				w.enter(name, instance)
				defer w.leave(name)
				turn.State.N++
				select {
				case <-time.After(200 * time.Millisecond):
				case <-ctx.Done():
				}
				return nil
			}
		}
		go func() { done <- agent.RunPool(ctx, c, pool) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", instance, err)
			}
			_ = c.Close()
		})
		t.Cleanup(stop)
		return cable, stop
	}
	percent := 20
	if agents < 500 { // chance has more of a part in it
		percent = 40
	}
	even := func(members int) func() bool {
		return func() bool {
			n := w.spread()
			for _, have := range n {
				if off := 100*have*members - 100*agents; off < -percent*agents || off > percent*agents {
					return false
				}
			}
			return len(n) == members
		}
	}
	members := *poolMembers
	cables := map[string]*cable{}
	for i := range members {
		instance := fmt.Sprint("host-", i)
		cables[instance], _ = join(instance)
	}
	eventually(t, "all agents are run, by all", func() bool {
		run := 0
		for _, n := range w.spread() {
			run += n
		}
		return run == agents && even(members)()
	})
	began := time.Now()

	close(cables["host-0"].cut)
	eventually(t, "the others run all", func() bool { n := w.spread(); return len(n) == members-1 && n["host-0"] == 0 })
	var took []time.Duration
	w.mu.Lock()
	for _, at := range w.since {
		if at.After(began) {
			took = append(took, at.Sub(began))
		}
	}
	w.mu.Unlock()
	slices.Sort(took)
	t.Logf("%d agents of %d moved: median %v, p99 %v, last %v, with a time to live of %v", len(took), agents, took[len(took)/2], took[len(took)*99/100], took[len(took)-1], ttl)

	_, stop := join("host-new")
	eventually(t, "the new one has its share", even(members))
	t.Logf("spread: %v", w.spread())
	stop()
	eventually(t, "what it gives back is run", func() bool { return w.spread()["host-new"] == 0 })
	if len(w.twice) > 0 {
		t.Errorf("run by two: %v", w.twice)
	}
}

// Claim: an agent that fails is run again by the process that has it, and one that is
// done is not; neither goes to another process that has room.
func TestRunPool_FailedAndDoneStay(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	for _, name := range []string{"crew/fails", "crew/done"} {
		if _, err := cluster.Client().Agent(name).Save(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	ran, failed := map[string][]string{}, 0
	ctx, cancel := context.WithCancel(t.Context())
	var pools sync.WaitGroup
	for _, instance := range []string{"a", "b"} {
		c, err := client.Dial(client.Config{Endpoints: []string{cluster.Endpoint(0)}, Instance: instance})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		pool := agent.Pool[tally]{Prefix: "crew", Max: 2, Logger: slog.New(slog.DiscardHandler)}
		pool.OnError = func(string, error) { mu.Lock(); failed++; mu.Unlock() }
		pool.New = func(name string) (agent.Config[tally], agent.Step[tally]) {
			return agent.Config[tally]{Logger: pool.Logger}, func(context.Context, *agent.Turn[tally]) error {
				mu.Lock()
				defer mu.Unlock()
				ran[name] = append(ran[name], instance)
				if name == "crew/done" {
					return agent.Done
				}
				return errors.New("it fails")
			}
		}
		pools.Go(func() {
			if err := agent.RunPool(ctx, c, pool); err != nil {
				t.Error(err)
			}
		})
		if instance == "a" { // has both when b comes, and gives up one
			eventually(t, "one process runs both", func() bool { mu.Lock(); defer mu.Unlock(); return len(ran) == 2 })
		}
	}
	eventually(t, "it fails for the fourth time", func() bool { mu.Lock(); defer mu.Unlock(); return failed >= 4 })
	cancel()
	pools.Wait()
	for name, by := range ran {
		turns := slices.Compact(slices.Clone(by))
		if len(turns) > 2 || name == "crew/done" && len(by) != len(turns) {
			t.Errorf("%s was run by %v", name, by)
		}
	}
}

func TestRunPool_Refuses(t *testing.T) {
	if err := agent.RunPool(t.Context(), nil, agent.Pool[tally]{Prefix: "crew"}); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("without New: %v", err)
	}
}
