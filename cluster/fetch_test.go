// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/hawsertest"
)

// A node that was wiped joins while saves go on, and the log does not reach
// back: it fetches the state. Its source is killed in the middle and comes
// back; it is killed in the middle itself and comes back; and it ends with the
// state of the others, without an install by raft.
func TestCluster_FetchSurvivesKillsOfBothSides(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3, hawsertest.WithConfig(func(cfg *cluster.Config) {
		cfg.Tuning.FetchBytesPerSecond = 1 << 20
		cfg.Tuning.Stabilise = time.Minute
		cfg.Tuning.Retention = consensus.Retention{
			SnapshotBytes: 256 << 10, SnapshotEvery: 300 * time.Millisecond, KeepBytes: 64 << 10, CheckEvery: 100 * time.Millisecond,
		}
	}))
	const total = 5 << 19
	saveNoise(t, c.Client(), total)
	leader := c.Leader()
	c.Eventually("the log is cut", func() error {
		if size := metric(t, c.Node(leader), "hawser_log_bytes"); size > total/2 {
			return fmt.Errorf("it has %v bytes", size)
		}
		return nil
	})
	newcomer, source := (leader+1)%3, (leader+2)%3
	c.Kill(newcomer)
	c.Wipe(newcomer)
	stop := writer(t, c.Client(), "steady")
	c.StartNode(newcomer)
	fetched := func(atLeast float64) {
		t.Helper()
		c.Eventually(fmt.Sprintf("%.0f bytes are fetched", atLeast), func() error {
			if got := metric(t, c.Node(newcomer), "hawser_fetched_bytes"); got < atLeast {
				return fmt.Errorf("%.0f", got)
			}
			return nil
		})
	}
	fetched(total / 8)
	id := c.Node(newcomer).ID()
	c.Eventually("the leader tells of it", func() error {
		status, err := dial(t, c.Endpoint(leader)).Cluster().Status(t.Context())
		if err != nil {
			return err
		}
		for _, note := range status.Notes {
			if strings.Contains(note, id+" is behind: fetching the state from n") {
				return nil
			}
		}
		return errors.New(strings.Join(status.Notes, "; "))
	})
	if err := c.Node(newcomer).Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "fetching the state from") {
		t.Errorf("it is ready: %v", err)
	}
	c.Kill(source)
	c.StartNode(source)
	fetched(total / 4)
	c.Kill(newcomer)
	c.StartNode(newcomer)
	fetched(total / 8)
	c.AwaitReady(newcomer)
	if n := metric(t, c.Node(newcomer), "hawser_fetches"); n != 1 {
		t.Errorf("%v checkpoints were taken over", n)
	}
	if n := metric(t, c.Node(newcomer), "hawser_installs"); n != 0 {
		t.Errorf("%v installs by raft", n)
	}
	checkVersions(t, c, newcomer, "steady", stop())
	c.AwaitReady(newcomer)
	c.Eventually("all have the same state", func() error {
		want, err := cluster.Digest(t.Context(), c.Node(leader))
		if err != nil {
			return err
		}
		for _, i := range []int{newcomer, source} {
			got, err := cluster.Digest(t.Context(), c.Node(i))
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("node %d differs", i+1)
			}
		}
		return nil
	})
}

// saveNoise saves about total bytes that cannot be compressed.
func saveNoise(t *testing.T, c *client.Client, total int) {
	t.Helper()
	state := make([]byte, 64<<10)
	noise := rand.NewChaCha8([32]byte{1})
	for i := range total / len(state) {
		_, _ = noise.Read(state)
		if _, err := c.Agent(fmt.Sprintf("noise/%d", i)).Save(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
}
