// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/workload"
)

const (
	clients  = 3 // of each workload
	duration = 4 * time.Second
)

// Claim: what every workload does and sees in a cluster whose leader dies is what
// its own checkers allow, and they have looked at something.
func TestWorkloads(t *testing.T) {
	cluster := hawsertest.StartCluster(t, 3)
	recorder, err := history.Create(filepath.Join(t.TempDir(), "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	conn := cluster.Client()
	// Locks takes a resource that they guard.
	all := slices.DeleteFunc(workload.All(recorder, ""), func(w workload.Workload) bool { return w.Name() == "locks" })
	for _, w := range all {
		if err := w.Prepare(t.Context(), conn); err != nil {
			t.Fatalf("prepare %s: %v", w.Name(), err)
		}
	}
	watcher := workload.NewWatcher(conn, -1, recorder)
	watch(t, watcher)
	run(t, all, conn, func() { cluster.KillLeader() }, func() bool {
		return slices.ContainsFunc(recorder.Ended(), func(op history.Op) bool { return op.Kind == history.Archive && op.Outcome == history.OK })
	})
	ops, final, err := end(t.Context(), all, conn, watcher, recorder)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := []check.Verdict{check.Revisions(ops)}
	for _, w := range all {
		own := slices.DeleteFunc(slices.Clone(ops), func(op history.Op) bool { return !strings.HasPrefix(op.Agent, w.Name()+"/") })
		verdicts = append(verdicts, w.Check(own, final.Below(w.Name()))...)
	}
	for _, v := range verdicts {
		if t.Logf("%s: %d checked", v.Name, v.Checked); !v.Good() || v.Checked == 0 {
			t.Errorf("%+v", v)
		}
	}
}

// watch has a watcher watch until the test ends, and waits until it does.
func watch(t *testing.T, w *workload.Watcher) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if _, err := w.Told(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

// run lets clients work, and something happen half way. A busy machine gets longer,
// until there is enough to look at.
func run(t *testing.T, all []workload.Workload, conn *client.Client, happen func(), enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	for id := range clients * len(all) {
		group.Go(func() { all[id%len(all)].Run(ctx, id, conn, rand.New(rand.NewPCG(1, uint64(id)))) })
	}
	time.Sleep(duration / 2)
	happen()
	time.Sleep(duration / 2)
	for !enough() && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
}

// end returns what was recorded, and what there is at last.
func end(
	ctx context.Context, all []workload.Workload, conn *client.Client, watcher *workload.Watcher, recorder *history.Recorder,
) ([]history.Op, check.Final, error) {
	var errs []error
	for _, w := range all {
		if last, ok := w.(workload.Finisher); ok {
			errs = append(errs, last.Finish(ctx, conn))
		}
	}
	for undecided := true; undecided; {
		undecided = false
		for txn, err := range conn.Txns(ctx) {
			undecided = undecided || err == nil && !txn.State.Decided()
		}
	}
	last, err := conn.Agent("end").Save(ctx, []byte("of the run"), client.Overwrite())
	errs = append(errs, err)
	_, err = watcher.Told(ctx, last.Revision)
	errs = append(errs, err)
	ops, err := recorder.Close()
	errs = append(errs, err)
	chains, err := workload.Final(ctx, conn, max(last.Revision, hawser.Revision(1)), ops)
	return ops, check.Final{"n": chains}, errors.Join(append(errs, err)...)
}
