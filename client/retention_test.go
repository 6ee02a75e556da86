// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// Policies are set, listed and removed by prefix; a dry run changes nothing.
func TestClient_Retention(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 3)
	a := c.Agent("crew/a")
	for range 5 {
		save(t, a)
	}
	rules := hawser.Retention{KeepLast: 2, KeepWithin: time.Hour, KeepDaily: 7}
	pruning, err := c.SetRetention(ctx, "crew", rules, client.DryRun())
	if err != nil || pruning != (client.Pruning{Agents: 1, Versions: 3, Bytes: 3}) {
		t.Errorf("dry run: %+v, %v", pruning, err)
	}
	r, err := c.Retention(ctx, "crew")
	if err != nil || r.Rules != hawser.DefaultRetention() || r.Source != nil || len(r.Policies) != 0 {
		t.Errorf("default: %+v, %v", r, err)
	}
	if _, err := c.SetRetention(ctx, "crew", rules); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetRetention(ctx, "", hawser.Retention{}); err != nil {
		t.Fatal(err)
	}
	r, err = c.Retention(ctx, "crew/a")
	if err != nil || r.Rules != rules || r.Source == nil || r.Source.Prefix != "crew" || r.Source.Retention != rules || len(r.Policies) != 2 {
		t.Errorf("set: %+v, %v", r, err)
	}
	if _, err := c.RemoveRetention(ctx, "crew"); err != nil {
		t.Fatal(err)
	}
	if r, err = c.Retention(ctx, "crew", client.Stale()); err != nil || !r.Rules.KeepsAll() || r.Source.Prefix != "" {
		t.Errorf("removed: %+v, %v", r, err)
	}
	_, err = c.SetRetention(ctx, "a//b", rules)
	wantError(t, err, hawser.ErrInvalid)
	_, err = c.SetRetention(ctx, "", hawser.Retention{KeepWithin: -1})
	wantError(t, err, hawser.ErrInvalid)
	_, err = c.Retention(ctx, "..")
	wantError(t, err, hawser.ErrInvalid)
	cluster.SetFault(fakecluster.Always("SetRetention", fakecluster.BreakAfter))
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = c.SetRetention(short, "", rules)
	if wantError(t, err, hawser.ErrOutcomeUnknown); errors.Is(err, hawser.ErrConflict) {
		t.Error(err)
	}
}
