// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
	"github.com/hawserdb/hawser/internal/record"
)

// Restoring the head again fetches only what is new, and a copy that does not
// fit any more does no harm.
func TestRestore_FromABase(t *testing.T) {
	cluster, c := start(t, 1)
	writer, reader := c.Agent("a"), dial(t, cluster).Agent("a")
	state := text(50_000)
	var answers recorder[fakecluster.Messages]
	restore := func() {
		t.Helper()
		cp, err := reader.Restore(t.Context())
		if err != nil || !bytes.Equal(cp.State, state) {
			t.Fatalf("restored %d bytes: %v", len(cp.State), err)
		}
	}
	save(t, writer, state)
	restore()
	cluster.SetFault(fakecluster.Always("Restore", func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		if err == nil {
			answers.add(resp.(fakecluster.Messages))
		}
		return resp, err
	}))
	wantDeltas := func(n int) {
		t.Helper()
		for _, messages := range answers.take() {
			m := messages[0].(*hawserv1.RestoreResponse)
			if m.GetKeyframe() != nil || len(m.GetDeltas()) != n {
				t.Errorf("keyframe: %v, %d deltas, want %d", m.GetKeyframe() != nil, len(m.GetDeltas()), n)
			}
		}
	}
	restore()
	wantDeltas(0)
	for range 3 {
		state = append(slices.Clone(state), "and on"...)
		save(t, writer, state)
	}
	restore()
	wantDeltas(3)
	state = noise(20_000)
	save(t, writer, state) // a keyframe
	restore()
	if m := answers.take()[0][0].(*hawserv1.RestoreResponse); m.GetKeyframe() == nil {
		t.Error("a base that is not on the path was used")
	}
}

// A node that sends what does not fit the base is asked for everything.
func TestRestore_DeltasThatDoNotFit(t *testing.T) {
	cluster, c := start(t, 1)
	a := c.Agent("a")
	state := text(50_000)
	save(t, a, state)
	cluster.SetFault(fakecluster.Script("Restore", func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		if err != nil {
			return nil, err
		}
		delta, _ := record.EncodeDelta(state, text(50_001))
		m := resp.(fakecluster.Messages)[0].(*hawserv1.RestoreResponse)
		m.Deltas = append(m.Deltas, &hawserv1.Payload{
			Encoding: hawserv1.Encoding_ENCODING_RAW, Data: delta.Data, Crc32C: delta.CRC32C, Size: delta.Size,
		})
		return resp, nil
	}))
	cp, err := a.Restore(t.Context())
	if err != nil || !bytes.Equal(cp.State, state) {
		t.Errorf("restored %d bytes: %v", len(cp.State), err)
	}
}
