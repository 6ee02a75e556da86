// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/hawsertest"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/halt"
)

// schema is what the records of the test's versions hold, and what is altered.
const schema = "schema-of-the-test"

// alterRecords gives the records of versions on a node that is down another
// schema, one that no checksum finds, as a defect of the machine would.
func alterRecords(t *testing.T, c *hawsertest.Cluster, i int, to string) {
	t.Helper()
	_, db, err := engine.OpenHome(filepath.Join(c.Config(i).DataDir, "state"), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.Iter([]byte{'c'}, []byte{'d'})
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	for it.Next() {
		if bytes.Contains(it.Value(), []byte(schema)) {
			batch.Set(slices.Clone(it.Key()), bytes.ReplaceAll(it.Value(), []byte(schema), []byte(to)))
		}
	}
	if batch.Empty() {
		t.Fatal("there is no record to alter")
	}
	if err := errors.Join(it.Close(), batch.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// alterAndSave saves a version, alters the records of some nodes while all are
// down, starts all, and rolls back, which every node does with what it has.
func alterAndSave(t *testing.T, c *hawsertest.Cluster, altered map[int]string) {
	t.Helper()
	agent := c.Client().Agent("a")
	for i := range 2 {
		if _, err := agent.Save(t.Context(), fmt.Append(nil, i), client.Schema(schema)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range c.Size() {
		c.Eventually("every node has the versions", func() error {
			cp, err := dial(t, c.Endpoint(i)).Agent("a").Restore(t.Context(), client.Stale())
			if err == nil && cp.Version.Number != 2 {
				err = fmt.Errorf("at version %d", cp.Version.Number)
			}
			return err
		})
	}
	for i := range c.Size() {
		c.Stop(i)
	}
	for i, to := range altered {
		alterRecords(t, c, i, to)
	}
	for i := range c.Size() {
		c.StartNode(i)
	}
	for i := range c.Size() {
		c.AwaitReady(i)
	}
	if _, err := agent.Rollback(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// A node whose records are not what the others have stops within two seconds of
// the first command that depends on them, and its directory is closed. The
// others go on without it, with a new leader if it led.
func TestCluster_ReplicaThatDiffersStops(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3)
	alterAndSave(t, c, map[int]string{1: "schema-of-the-tesT"})
	wrong, since := c.Node(1), time.Now()
	select {
	case <-wrong.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the node that differs has not stopped")
	}
	took := time.Since(since)
	t.Logf("stopped after %v: %v", took.Round(time.Millisecond), wrong.Err())
	stopped, ok := errors.AsType[*halt.Error](wrong.Err())
	if !ok || stopped.Reason != halt.Diverged {
		t.Fatalf("it stopped with %v", wrong.Err())
	}
	c.Kill(1)
	if text, err := os.ReadFile(filepath.Join(c.Config(1).DataDir, consensus.QuarantineFile)); err != nil || !bytes.Contains(text, []byte("digest")) {
		t.Errorf("its directory is not closed: %q, %v", text, err)
	}
	if _, err := cluster.Open(t.Context(), c.Config(1)); !errors.As(err, &stopped) {
		t.Errorf("started again: %v", err)
	}
	if _, err := c.Client().Agent("b").Save(t.Context(), []byte("the others go on")); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2} {
		if err := c.Node(i).Err(); err != nil {
			t.Errorf("node %d: %v", i+1, err)
		}
	}
}

// When no two nodes agree none of them is right, and no save is taken.
func TestCluster_NoMajorityAgreesNoWrites(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3)
	alterAndSave(t, c, map[int]string{1: "schema-of-the-tesT", 2: "schema-of-the-teST"})
	c.Eventually("all nodes know that they differ", func() error {
		for i := range c.Size() {
			if metric(t, c.Node(i), "hawser_replicas_differ") != 1 {
				return fmt.Errorf("node %d does not", i+1)
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := c.Client().Agent("b").Save(ctx, []byte("refused"))
	if err == nil {
		t.Error("a save was taken while replicas differ")
	}
	t.Log(err)
	if cp, err := c.Client().Agent("b").Restore(t.Context()); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("what a save left while replicas differ: version %d, %v", cp.Version.Number, err)
	}
	if _, err := c.Client().Agent("a").Restore(t.Context()); err != nil {
		t.Errorf("a restore while replicas differ: %v", err)
	}
	for i := range c.Size() {
		if err := c.Node(i).Err(); err != nil {
			t.Errorf("node %d: %v", i+1, err)
		}
	}
}
