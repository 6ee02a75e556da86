// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/hawsertest"
	"github.com/hawserdb/hawser/internal/halt"
)

// writer saves to one agent again and again until stop, and fails the test if
// any save fails. It returns how many there were.
func writer(t *testing.T, c *client.Client, name string) (stop func() uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	var saved uint64
	done.Go(func() {
		a := c.Agent(name)
		for ctx.Err() == nil {
			v, err := a.Save(context.WithoutCancel(ctx), fmt.Appendf(nil, "state %d", saved+1))
			if err != nil {
				t.Errorf("save %d: %v", saved+1, err)
				return
			}
			if v.Number != saved+1 {
				t.Errorf("save %d became version %d", saved+1, v.Number)
				return
			}
			saved++
		}
	})
	return func() uint64 {
		cancel()
		done.Wait()
		return saved
	}
}

// checkVersions demands that exactly the versions 1 to n exist, as saved, at
// node i.
func checkVersions(t *testing.T, cluster *hawsertest.Cluster, i int, name string, n uint64) {
	t.Helper()
	c := dial(t, cluster.Endpoint(i))
	next := n
	for v, err := range c.Agent(name).Versions(t.Context()) {
		if err != nil {
			t.Fatalf("node %d: list: %v", i+1, err)
		}
		if v.Number != next {
			t.Fatalf("node %d: version %d where %d should be", i+1, v.Number, next)
		}
		next--
	}
	if next != 0 {
		t.Fatalf("node %d: versions 1 to %d are missing", i+1, next)
	}
	for _, number := range []uint64{1, n/2 + 1, n} {
		cp, err := c.Agent(name).Restore(t.Context(), client.AtVersion(number))
		if err != nil || string(cp.State) != fmt.Sprintf("state %d", number) {
			t.Fatalf("node %d: version %d: %q, %v", i+1, number, cp.State, err)
		}
	}
}

func dial(t *testing.T, endpoints ...string) *client.Client {
	t.Helper()
	c, err := client.Dial(client.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Each node in turn is stopped gracefully and started again while a client
// writes: no request of the client is lost, none is executed twice.
func TestCluster_RollingRestartLosesNothing(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	stop := writer(t, cluster.Client(), "steady")
	for i := range 3 {
		cluster.Stop(i)
		cluster.Restart(i)
	}
	n := stop()
	for i := range 3 {
		checkVersions(t, cluster, i, "steady", n)
	}
}

// Leaders are killed one after the other while a client writes: nothing that
// was acknowledged is lost, nothing is executed twice.
func TestCluster_KilledLeadersLoseNothing(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	stop := writer(t, cluster.Client(), "steady")
	for range 3 {
		cluster.Restart(cluster.KillLeader())
	}
	n := stop()
	for i := range 3 {
		checkVersions(t, cluster, i, "steady", n)
	}
}

// All nodes are killed at once and started again: everything that was
// acknowledged is there.
func TestCluster_AllKilledAtOnce(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	stop := writer(t, cluster.Client(), "steady")
	cluster.Eventually("some saves", func() error {
		if a, err := cluster.Client().Agent("steady").Show(t.Context()); err != nil || a.Head < 20 {
			return errors.New("too few")
		}
		return nil
	})
	n := stop()
	for i := range 3 {
		cluster.Kill(i)
	}
	for i := range 3 {
		cluster.StartNode(i)
	}
	for i := range 3 {
		cluster.AwaitReady(i)
		checkVersions(t, cluster, i, "steady", n)
	}
}

// Each node takes each request: with only a follower's address a client saves,
// restores, lists and deletes.
func TestCluster_AnyNodeTakesAnyRequest(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	for i := range 3 {
		c := dial(t, cluster.Endpoint(i))
		a := c.Agent(fmt.Sprintf("by/%d", i))
		if _, err := a.Save(t.Context(), []byte("x")); err != nil {
			t.Fatalf("node %d: save: %v", i+1, err)
		}
		if cp, err := a.Restore(t.Context()); err != nil || string(cp.State) != "x" {
			t.Fatalf("node %d: restore: %v", i+1, err)
		}
		agents := 0
		for _, err := range c.Agents(t.Context(), "by") {
			if err != nil {
				t.Fatalf("node %d: agents: %v", i+1, err)
			}
			agents++
		}
		if agents != 1 {
			t.Fatalf("node %d lists %d agents", i+1, agents)
		}
		if err := a.Delete(t.Context()); err != nil {
			t.Fatalf("node %d: delete: %v", i+1, err)
		}
		if _, err := a.Restore(t.Context()); !errors.Is(err, hawser.ErrNotFound) {
			t.Fatalf("node %d: restored what was deleted: %v", i+1, err)
		}
	}
}

// A node whose disk is lost comes back under its name: it joins as a standby,
// is promoted, and its old self is removed, all by itself.
func TestCluster_ReplacesAWipedNode(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3, hawsertest.WithConfig(func(cfg *cluster.Config) {
		cfg.Tuning.Stabilise = 2 * time.Second
	}))
	if _, err := c.Client().Agent("a").Save(t.Context(), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	victim := (c.Leader() + 1) % 3
	old := c.Node(victim).ID()
	c.Kill(victim)
	c.Wipe(victim)
	c.Restart(victim)
	id := c.Node(victim).ID()
	if id == old {
		t.Fatal("a wiped node has its old id")
	}
	c.Eventually("the wiped node votes and its old self is gone", func() error {
		members, err := c.Client().Cluster().Members(t.Context())
		if err != nil {
			return err
		}
		promoted := false
		for _, m := range members {
			if m.ID == old {
				return fmt.Errorf("%s is still a member", old)
			}
			promoted = promoted || m.ID == id && m.Role == client.RoleVoter
		}
		if !promoted || len(members) != 3 {
			return fmt.Errorf("%d members, promoted %v", len(members), promoted)
		}
		return nil
	})
	cp, err := dial(t, c.Endpoint(victim)).Agent("a").Restore(t.Context())
	if err != nil || string(cp.State) != "kept" {
		t.Fatalf("the new node has %q, %v", cp.State, err)
	}
}

// A node joins as a standby and can be promoted and removed by hand; a removed
// node stops itself and says why.
func TestCluster_JoinPromoteRemove(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3)
	joined := c.Join()
	id := c.Node(joined).ID()
	role := func() client.Role {
		t.Helper()
		members, err := c.Client().Cluster().Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.ID == id {
				return m.Role
			}
		}
		return 0
	}
	if got := role(); got != client.RoleStandby {
		t.Fatalf("joined as %v", got)
	}
	c.Eventually("promotion by hand", func() error { return c.Client().Cluster().Promote(t.Context(), "n4") })
	c.Eventually("the node votes", func() error {
		if got := role(); got != client.RoleVoter {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
	if err := c.Client().Cluster().Remove(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Node(joined).Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the removed node goes on")
	}
	if stopped, ok := errors.AsType[*halt.Error](c.Node(joined).Err()); !ok || stopped.Reason != halt.Removed {
		t.Fatalf("it stopped with %v", c.Node(joined).Err())
	}
}

// A transfer moves the leadership to the node that was named, and writes go on.
func TestCluster_TransferLeadership(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3)
	target := (c.Leader() + 1) % 3
	stop := writer(t, c.Client(), "steady")
	c.Eventually("transfer", func() error {
		return c.Client().Cluster().TransferLeadership(t.Context(), fmt.Sprintf("n%d", target+1))
	})
	c.Eventually("the named node leads", func() error {
		if !c.Node(target).Leads() {
			return errors.New("it does not")
		}
		return nil
	})
	checkVersions(t, c, target, "steady", stop())
}

// A node that was away for longer than the log lasts is brought back by a
// checkpoint of the state.
func TestCluster_CatchesUpByCheckpoint(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3, hawsertest.WithConfig(func(cfg *cluster.Config) {
		cfg.Tuning.Retention = consensus.Retention{
			SnapshotBytes: 64 << 10, SnapshotEvery: 200 * time.Millisecond, KeepBytes: 64 << 10, KeepBehindBytes: 64 << 10,
			CheckEvery: 100 * time.Millisecond,
		}
	}))
	away := (c.Leader() + 1) % 3
	c.Kill(away)
	a := c.Client().Agent("big")
	state := make([]byte, 200<<10)
	noise := rand.NewChaCha8([32]byte{1})
	for range 40 {
		_, _ = noise.Read(state) // not compressible
		if _, err := a.Save(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
	c.Restart(away)
	cp, err := dial(t, c.Endpoint(away)).Agent("big").Restore(t.Context())
	if err != nil || cp.Version.Number != 40 {
		t.Fatalf("got version %d, %v", cp.Version.Number, err)
	}
	c.Eventually("it counts the checkpoint that it received", func() error {
		if metric(t, c.Node(away), "hawser_fetches") < 1 {
			return errors.New("none, so the log had been enough and this test shows nothing")
		}
		return nil
	})
}

// metric reads one gauge of a node over its HTTP port.
func metric(t *testing.T, n *cluster.Node, name string) float64 {
	t.Helper()
	resp, err := http.Get("http://" + n.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
