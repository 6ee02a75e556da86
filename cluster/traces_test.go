// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// Real agent histories are saved through a cluster while its leader is killed
// in the middle of each, and every version comes back, from another node, with
// the same SHA-256. It runs where the histories are: a folder with steps.py,
// named by HAWSER_TRACES (default ../shared/traces beside the project).
func TestTraces_RealHistoriesSurviveTheLeader(t *testing.T) {
	t.Parallel()
	histories := realHistories(t)
	c := hawsertest.StartCluster(t, 3)
	// Patient: a megabyte takes its time where a race detector and other tests
	// share two cores.
	writer, err := client.Dial(client.Config{Endpoints: []string{c.Endpoint(0), c.Endpoint(1), c.Endpoint(2)}, RequestTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for _, dir := range histories {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "manifest.json") })
			slices.Sort(files)
			want := saveHistory(t, c, writer, filepath.Base(dir), files)
			reader := dial(t, c.Endpoint((c.Leader()+1)%3))
			for number, sum := range want {
				cp, err := reader.Agent(filepath.Base(dir)).Restore(t.Context(), client.AtVersion(uint64(number)+1))
				if err != nil {
					t.Fatalf("version %d: %v", number+1, err)
				}
				if got := hawser.Hash(sha256.Sum256(cp.State)); got != sum || cp.Version.SHA256 != sum {
					t.Fatalf("version %d: %s, saved %s", number+1, got, sum)
				}
			}
			t.Logf("%d versions equal", len(want))
		})
	}
}

// saveHistory saves each file as a version, kills the leader half way, and
// returns the hashes.
func saveHistory(t *testing.T, c *hawsertest.Cluster, writer *client.Client, name string, files []string) []hawser.Hash {
	t.Helper()
	a := writer.Agent(name)
	killed := -1
	defer func() {
		if killed >= 0 {
			c.Restart(killed) // also after a failure, which would be the next history's too
		}
	}()
	var sums []hawser.Hash
	for i, file := range files {
		state, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if i == len(files)/2 {
			killed = c.KillLeader()
		}
		if _, err := a.Save(t.Context(), state); err != nil {
			t.Fatalf("save %d (%d bytes): %v", i+1, len(state), err)
		}
		sums = append(sums, sha256.Sum256(state))
	}
	return sums
}

// realHistories makes the states of the histories and returns their folders.
func realHistories(t *testing.T) []string {
	t.Helper()
	traces := os.Getenv("HAWSER_TRACES")
	if traces == "" {
		traces = filepath.Join("..", "..", "shared", "traces")
	}
	script := filepath.Join(traces, "steps.py")
	if _, err := os.Stat(script); err != nil {
		t.Skipf("no real histories here: %v", err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("python3 is needed to unpack the histories: %v", err)
	}
	out := t.TempDir()
	if text, err := exec.CommandContext(t.Context(), python, script, "--out", out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	dirs, err := filepath.Glob(filepath.Join(out, "trace-*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no histories in %s: %v", out, err)
	}
	return dirs
}
