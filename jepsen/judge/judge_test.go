// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Claim: a judge refuses older fences than it has seen, also one that begins anew
// with the same file, and tells all that it did, in order.
func TestMain_RefusesOldFencesAndTellsAll(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "judge") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	recorder, err := history.Create(filepath.Join(t.TempDir(), "history"))
	if err != nil {
		t.Fatal(err)
	}
	for _, writes := range [][]uint64{{5, 5, 4, 6}, {5, 6, 7}} {
		var told bytes.Buffer
		if err := serve(t, dir, recorder.Beginning(), &told, writes); err != nil {
			t.Fatal(err)
		}
		if err := recorder.Follow(&told); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := recorder.Close()
	if err != nil {
		t.Fatal(err)
	}
	var accepted, refused []uint64
	for _, op := range ops {
		if op.Outcome == history.OK {
			accepted = append(accepted, op.Epoch)
		} else {
			refused = append(refused, op.Epoch)
		}
	}
	if !slices.Equal(accepted, []uint64{5, 5, 6, 6, 7}) || !slices.Equal(refused, []uint64{4, 5}) {
		t.Errorf("accepted %v, refused %v", accepted, refused)
	}
}

// serve runs a judge and writes to it with some fences, the higher one of which it
// must know from then on.
func serve(t *testing.T, dir string, begin time.Duration, told io.Writer, writes []uint64) error {
	t.Helper()
	task, err := json.Marshal(Task{Dir: dir, Begin: begin})
	if err != nil {
		return err
	}
	in, end := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Main(t.Context(), string(task), in, told) }()
	conn := Dial(Socket(dir))
	for _, number := range writes {
		w := Writing{Lock: "locks/0", Fence: hawser.Fence{Resource: "lock:locks/0", Token: hawser.NewToken(1, number)}}
		if err := write(t.Context(), conn, w); err != nil {
			return err
		}
	}
	return errors.Join(end.Close(), <-done)
}

// write repeats a write until the judge listens.
func write(ctx context.Context, conn *Client, w Writing) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := conn.Write(ctx, w)
		if err == nil || errors.Is(err, hawser.ErrFenced) {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
