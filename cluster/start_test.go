// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

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
