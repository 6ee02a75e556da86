// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/hawsertest"
	"github.com/hawserdb/hawser/internal/halt"
)

// A node that joined, and whose raft files are lost before it was ever started
// again, refuses to start under its old id: it may have voted.
func TestNode_JoinedNodeDoesNotForgetItsVotes(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	joined := c.Join()
	dir := c.Config(joined).DataDir
	c.Eventually("the node has written down that it has raft state", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "node.json"))
		if err == nil && !strings.Contains(string(text), `"started": true`) {
			err = errors.New("it has not")
		}
		return err
	})
	c.Kill(joined)
	for _, name := range []string{"wal", "stable.db", "state"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantHalt(t, c.Config(joined), halt.Damaged)
}

// A start that fails leaves no goroutine behind, however late it fails.
func TestOpen_FailureLeavesNothingRunning(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	c.Stop(0)
	if err := os.Truncate(filepath.Join(c.Config(0).DataDir, "stable.db"), 100); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	wantHalt(t, c.Config(0), halt.Damaged)
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// Damage in the engine that only a read meets stops the node, and for good: it
// neither votes nor serves with that directory again.
func TestNode_DamagedEngineIsQuarantined(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	a := c.Client().Agent("a")
	for range 8 {
		state := make([]byte, 100<<10)
		_, _ = rand.Read(state)
		if _, err := a.Save(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
	c.Stop(0)
	dir := c.Config(0).DataDir
	damageLargestTable(t, dir)
	c.Restart(0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for i := range uint64(8) {
		if _, err := a.Restore(ctx, client.AtVersion(i+1)); err != nil {
			break
		}
	}
	select {
	case <-c.Node(0).Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the node did not stop itself")
	}
	c.Kill(0)
	// An engine that failed stays open until its process ends, under its name.
	moved := c.Config(0)
	moved.DataDir = dir + "-moved"
	if err := os.Rename(dir, moved.DataDir); err != nil {
		t.Fatal(err)
	}
	wantHalt(t, moved, halt.Damaged)
}

// damageLargestTable zeroes a part in the middle of the largest table of the
// engine.
func damageLargestTable(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "state", "*", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	var largest string
	var most int64
	for _, table := range tables {
		info, err := os.Stat(table)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most {
			largest, most = table, info.Size()
		}
	}
	f, err := os.OpenFile(largest, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 4096), most/2)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A node that stopped itself says so to whoever calls it, and not that it
// waits for a cluster.
func TestNode_HaltedNodeSaysSo(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	cluster.Halt(c.Node(0), errors.New("the disk is gone"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Client().Agent("a").Save(ctx, []byte("x"))
	if !errors.Is(err, hawser.ErrUnavailable) || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("got %v", err)
	}
}

func wantHalt(t *testing.T, cfg cluster.Config, reason halt.Reason) {
	t.Helper()
	node, err := cluster.Open(t.Context(), cfg)
	if err == nil {
		t.Error("it starts")
		_ = node.Close(t.Context())
		return
	}
	if stopped, ok := errors.AsType[*halt.Error](err); !ok || stopped.Reason != reason {
		t.Errorf("got %v", err)
	}
}
