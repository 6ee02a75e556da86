// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: the example serves accounts and moves money between them, and not what
// is not there.
func TestTransfer_Moves(t *testing.T) {
	cluster := hawsertest.StartCluster(t, 1)
	t.Setenv("HAWSER_ENDPOINTS", cluster.Endpoint(0))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- run(ctx, []string{"serve", "alice", "bob"}) }()
	var err error
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = run(t.Context(), []string{"move", "alice", "bob", "30"}); !errors.Is(err, hawser.ErrNotFound) || time.Now().After(deadline) {
			break // else they are not there yet
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"move", "alice", "bob", "100"}); !errors.Is(err, hawser.ErrTxnAborted) {
		t.Error(err)
	}
	if got, err := client.RestoreJSON[int](t.Context(), cluster.Client().Agent("bob")); err != nil || got != 130 {
		t.Errorf("bob has %d, %v", got, err)
	}
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
