// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"slices"
	"testing"

	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/hawsertest"
)

// Two of three nodes promised themselves to a cluster whose coordinator then
// lost its disk before it founded it. With the coordinator's new self they
// replace the promise, under raft that is really stopped and started again,
// and found exactly one cluster.
func TestCluster_FoundsOverAnOldPromise(t *testing.T) {
	t.Parallel()
	c := hawsertest.PrepareCluster(t, 3)
	line := []string{c.Config(0).PeerAddr, c.Config(1).PeerAddr, c.Config(2).PeerAddr}
	byAddress := []int{0, 1, 2}
	slices.SortFunc(byAddress, func(i, j int) int {
		if line[i] < line[j] {
			return -1
		}
		return 1
	})
	slices.Sort(line)
	coordinator, others := byAddress[0], byAddress[1:]

	promise := &membership.Promise{
		ClusterID: membership.ClusterID{1, 2, 3, 8: 0, 15: 1}, Generation: 7, StartLine: line,
		Members: make([]membership.Address, 3),
	}
	promise.Members[0] = membership.Address{ID: "lost-00000000", Peer: line[0]}
	promise.Coordinator = promise.Members[0]
	dirs := map[int]*membership.Directory{}
	for i, node := range others {
		cfg := c.Config(node)
		dir, err := membership.OpenDirectory(cfg.DataDir, cfg.Name, membership.DirectoryOptions{BallastBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		dirs[node] = dir
		promise.Members[i+1] = membership.Address{ID: dir.Node().State().Node, Peer: line[i+1]}
	}
	for _, dir := range dirs {
		if err := dir.Node().Update(func(s *membership.State) error { s.Promise = promise; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range append(others, coordinator) {
		c.StartNode(node)
	}
	for i := range 3 {
		c.AwaitReady(i)
	}
	status, err := c.Client().Cluster().Status(t.Context())
	if err != nil || status.Generation == 7 || len(status.Members) != 3 {
		t.Fatalf("got %+v, %v", status, err)
	}
	if _, err := c.Client().Agent("a").Save(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
}
